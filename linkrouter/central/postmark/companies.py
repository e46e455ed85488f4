"""Who makes the browsers and systems that statistics know; Postmark tells the company beside the family."""

__all__ = ["BROWSERS_OF", "SYSTEMS_OF", "company_of"]

BROWSERS_OF: dict[str, tuple[str, ...]] = {
    "Apple": ("Safari", "Apple Mail"),
    "Brave Software": ("Brave",),
    "DuckDuckGo": ("DuckDuckGo Mobile", "DuckDuckGo"),
    "Google": ("Chrome", "Chromium", "Gmail", "Google"),
    "Microsoft": ("Edge", "IE", "Outlook"),
    "Mozilla": ("Firefox", "Thunderbird", "Firefox Focus"),
    "Opera Software": ("Opera", "Opera Mini", "Opera GX"),
    "Samsung": ("Samsung Internet",),
    "Vivaldi Technologies": ("Vivaldi",),
    "Yandex": ("Yandex Browser",),
}
SYSTEMS_OF: dict[str, tuple[str, ...]] = {
    "Apple": ("iOS", "macOS", "iPadOS"),
    "Google": ("Android", "Chrome OS"),
    "Microsoft": ("Windows", "Windows Phone"),
}


def company_of(family: str, companies: dict[str, tuple[str, ...]]) -> str:
    """Give who makes *family*, or nothing where that is not known."""
    return next((company for company, families in companies.items() if family in families), "")
