"""Guide Markdown as HTML."""

from triage.guides import render


def test_markup_is_rendered():
    assert render("see `host.id`") == "<p>see <code>host.id</code></p>\n"


def test_raw_html_is_text():
    html = render("<script>alert(1)</script> a <b onclick=x>b</b>\n\n<img src=x onerror=y>")
    assert "<script" not in html
    assert "<b " not in html
    assert "<img" not in html


def test_links_lead_to_the_web_only():
    assert "href" not in render(
        "[a](javascript:alert(1)) [b](data:text/html,x) [c](file:///etc/passwd) [d](/admin)"
    )
    assert '<a href="https://example.org">' in render("[a](https://example.org)")


def test_images_are_not_fetched():
    assert "<img" not in render("![x](https://example.org/x.png)")
