"""Which attributes keep a link from being tracked: every row of the table, and nothing that only looks like one."""

import pytest

from linkrouter.encoder.opt_outs import OPT_OUTS, OptOut, is_opted_out


@pytest.mark.parametrize("row", OPT_OUTS, ids=lambda row: row.attribute)
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("case", [str, str.upper, str.lower], ids=["as written", "upper", "lower"])
def test_leaves_a_link_alone_for_every_row_of_the_table(row, place, case, encoder):
    href, attribute = 'href="https://a.com/x"', case(row.example)
    document = f"<a {attribute} {href}>" if place == "before" else f"<a {href} {attribute}>"

    done = encoder.rewrite_html(document)

    assert done.content is document
    assert [link.reason for link in done.skipped] == ["opted out"]


@pytest.mark.parametrize("row", OPT_OUTS, ids=lambda row: row.attribute)
def test_a_row_gives_its_own_name_hint_and_an_example_with_both(row):
    example = row.example.lower()

    assert row.attribute == row.attribute.lower()
    assert row.hint == row.hint.lower()
    assert row.attribute in example
    assert row.hint in example


@pytest.mark.parametrize(
    "attribute",
    [
        "clicktracking=on",
        "disable-tracking=false",
        'data-msys-clicktrack="1"',
        'autotrack="true"',
        'class="mktNoTracks"',
        'title="data-pm-no-track"',
        "data-pm-no-track-not",
        'data-skip-click="false"',
    ],
)
def test_tracks_a_link_whose_attribute_only_looks_like_an_opt_out(attribute, encoder):
    done = encoder.rewrite_html(f'<a {attribute} href="https://a.com/track">')

    assert (len(done.links), done.skipped) == (1, ())


@pytest.mark.parametrize(
    "attribute", ['data-pm-no-track=""', "ClickTracking = 'OFF'", "mautic:disable-tracking", 'data-skip-click="true"']
)
def test_reads_an_attribute_in_any_spelling(attribute):
    assert is_opted_out(f"<a {attribute} href=x>")


def test_honours_an_attribute_of_ones_own():
    assert is_opted_out("<a X-KEEP href=x>", "x-keep")
    assert not is_opted_out("<a href=x-keep>", "x-keep")
    assert isinstance(OPT_OUTS[0], OptOut)
