"""Where an address is, from files of both schemas that change, break and go."""

import logging

import netaddr
import pytest
from mmdb_writer import MMDBWriter

from linkrouter.insight import Place, Places

NESTED = {
    "country": {"iso_code": "RS", "names": {"en": "Serbia"}},
    "subdivisions": [{"iso_code": "VO", "names": {"en": "Vojvodina"}}],
    "city": {"names": {"en": "Novi Sad"}},
}
FLAT = {"country_code": "DE", "region": "Hesse", "city": "Kassel"}
NOVI_SAD = Place("RS", "Vojvodina", "Novi Sad")


def write(path, records, version=6, kind="GeoLite2-City"):
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6)
    for network, record in records.items():
        writer.insert_network(netaddr.IPSet([network]), record)
    new = path.with_suffix(".new")
    writer.to_db_file(str(new))
    new.replace(path)
    return path


@pytest.fixture
def city(tmp_path):
    return write(tmp_path / "city.mmdb", {"203.0.113.0/24": NESTED, "2001:db8::/32": NESTED})


@pytest.mark.parametrize("ip", ["203.0.113.9", "203.0.113.0/24", "::ffff:203.0.113.9", "2001:db8::1"])
def test_finds_a_place_in_the_nested_schema(city, ip):
    places = Places([city])

    assert places.find_place(ip) == NOVI_SAD
    assert [source.url for source in places.sources] == ["https://www.maxmind.com"]


def test_finds_a_place_in_the_flat_schema_and_in_the_file_that_knows_more(tmp_path, city):
    country = write(tmp_path / "v4.mmdb", {"203.0.113.0/24": {"country": "RS"}, "198.51.100.0/24": FLAT}, 4, "ipinfo x")
    places = Places([country, city])

    assert places.find_place("198.51.100.7") == Place("DE", "Hesse", "Kassel")
    assert places.find_place("203.0.113.7") == NOVI_SAD
    assert places.find_place("2001:db8::1") == NOVI_SAD
    assert len(places.sources) == 2


def test_reads_a_file_again_when_it_changed(city):
    places = Places([city])
    write(city, {"203.0.113.0/24": FLAT})

    places.refresh()

    assert places.find_place("203.0.113.9").city == "Kassel"


@pytest.mark.parametrize("bad", ["text", "cut", "foreign", "gone"])
def test_a_bad_file_keeps_the_old_one_and_is_reported_once(city, caplog, bad):
    places = Places([city])
    if bad == "text":
        city.write_text("not a database")
    elif bad == "cut":
        city.write_bytes(city.read_bytes()[:200])
    elif bad == "foreign":
        write(city, {"203.0.113.0/24": {"autonomous_system_number": 64500}}, kind="GeoLite2-ASN")
    else:
        city.unlink()

    with caplog.at_level(logging.INFO, logger="linkrouter"):
        places.refresh()
        places.refresh()

    assert [record.msg for record in caplog.records] == ["geoip.kept"]
    assert places.find_place("203.0.113.9") == NOVI_SAD
    assert places.find_place("203.0.113.10") == NOVI_SAD


def test_without_a_file_the_country_comes_from_the_registries():
    places = Places()

    assert places.find_place("8.8.8.8") == Place("US")
    assert places.find_place("2001:4860:4860::8888") == Place("US")


@pytest.mark.parametrize("ip", [None, "", "nonsense", "10.0.0.1", "203.0.113.1/x"])
def test_an_address_without_a_place_is_unknown(ip):
    assert Places().find_place(ip) == Place()
