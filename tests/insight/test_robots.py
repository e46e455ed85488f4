"""Small sequences of clicks and what they are taken for."""

import pytest

from linkrouter.insight import Networks, ObservedClick, judge_message

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Mobile/15E148 Safari/604.1"
)
HOME, OFFICE, RELAY = "203.0.113.1", "203.0.113.200", "192.0.2.9"
CLOUD, OTHER_CLOUD = "198.51.100.1", "198.51.100.2"
NETWORKS = Networks(clouds=["198.51.100.0/24", "192.0.2.0/24"], relays=["192.0.2.0/24"])


def labels_of(*events, links=8):
    """Judge events of (second, link, address, agent) and give their labels in order."""
    clicks = [
        ObservedClick(str(number), f"{link}", None, "html", "click", round(at * 1e6), ip, agent, link == "trap")
        for number, (at, link, ip, agent) in enumerate(events)
    ]
    judged = judge_message(clicks, links=links, networks=NETWORKS)
    return "".join(judged[click.id].label[0].upper() for click in clicks)


def scan(at, ip, gap=0.1, links=8, agent=CHROME):
    return [(at + number * gap, number, ip, agent) for number in range(links)]


def test_a_person_who_clicks_while_a_scanner_runs_stays_a_person():
    assert labels_of(*scan(40, CLOUD, gap=3), (52, 2, HOME, CHROME)) == "MMMMMMMMH"


def test_a_check_at_the_time_of_the_click_does_not_take_the_click_along():
    assert labels_of((99.8, 3, CLOUD, CHROME), (100, 3, HOME, CHROME)) == "MH"


def test_a_reader_who_opens_several_links_quickly_is_a_person():
    assert labels_of(*[(100 + number * 1.5, number, HOME, CHROME) for number in range(4)]) == "HHHH"


def test_colleagues_behind_one_address_are_people():
    assert labels_of((900, 4, OFFICE, CHROME), (901, 4, OFFICE, IPHONE), (902, 1, OFFICE, CHROME)) == "HHH"


def test_a_relay_inside_a_cloud_is_a_person():
    assert labels_of((7200, 4, RELAY, IPHONE)) == "H"


def test_a_slow_burst_over_part_of_the_links_from_a_cloud_is_a_machine():
    assert labels_of(*scan(45, CLOUD, gap=2, links=5)) == "MMMMM"


def test_a_sweep_over_addresses_that_look_like_homes_is_a_machine():
    events = [(at, link, f"203.0.113.{link % 5}", agent) for at, link, _, agent in scan(45, HOME, gap=3, links=20)]

    assert labels_of(*events, links=20) == "M" * 20


def test_the_readers_of_a_much_forwarded_mail_are_no_sweep():
    events = [(100 + number / 2, number % 7 % 5, f"203.0.113.{number}", CHROME) for number in range(40)]

    assert "M" not in labels_of(*events, links=5)


def test_a_trap_tells_of_its_client_alone():
    events = [(20, "trap", HOME, CHROME), (24, 1, HOME, CHROME), (25, 1, OFFICE, IPHONE)]

    assert labels_of(*events) == "MMH"


@pytest.mark.parametrize("agent", ["Airmail 5.6 rv:571 (Macintosh; Mac OS X 12.2.0; en_US)", "Outlook-iOS/2.0", IPHONE])
def test_a_mail_program_is_a_person(agent):
    assert labels_of((300, 1, HOME, agent)) == "H"


@pytest.mark.parametrize("agent", ["Mozilla/4.0 (compatible;)", "Java/17.0.2", "okhttp/4.12.0", "X/1", "curl/8.5.0"])
def test_an_agent_without_the_shape_of_a_browser_is_a_machine(agent):
    assert labels_of((300, 1, HOME, agent)) == "M"


def test_a_click_without_address_and_agent_is_never_judged():
    assert labels_of(*scan(40, None, agent=None)) == "N" * 8


def test_the_order_of_the_clicks_does_not_matter():
    events = [*scan(43, CLOUD), (5000, 3, HOME, CHROME)]

    assert sorted(labels_of(*reversed(events))) == sorted(labels_of(*events)) == list("HMMMMMMMM")


def test_a_second_visit_of_a_gateway_within_half_a_minute_is_a_machine_too():
    assert labels_of(*scan(43, CLOUD), (60, 3, CLOUD, CHROME), (5000, 3, CLOUD, CHROME)) == "MMMMMMMMMU"


def test_two_clouds_at_once_are_two_machines_and_one_at_a_readers_pace_is_a_person():
    assert labels_of((60, 0, CLOUD, CHROME), (63, 0, OTHER_CLOUD, IPHONE)) == "MM"
    assert labels_of((60, 0, CLOUD, CHROME), (90, 1, CLOUD, CHROME)) == "HH"
