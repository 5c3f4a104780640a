"""The demonstration's articles are many, of substance, and do not contradict each other."""

import re
from pathlib import Path

import pytest

import graphs
from tools._crm.demo import company

FOLDER = Path(graphs.__file__).parent / "demo"
ARTICLES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}

# A fact and how each article that knows it puts it: who changes one has to change the others.
FACTS = {
    "return after 60 days": {
        "returning-an-order": "**60 days from delivery**",
        "what-order-statuses-mean": "you have 60 days to return or exchange items",
        "returning-a-gift": "60 days from delivery",
        "exchanging-an-item": "no more than 60 days ago",
        "shipping-to-canada-and-mexico": "The same 60 days apply",
    },
    "long return in winter": {
        "returning-an-order": "from November 1 to December 24 the deadline is January 31",
        "holiday-deadlines": "**from November 1 to December 24** can be returned or exchanged "
        "**until January 31**",
        "returning-a-gift": "from November 1 to December 24 until January 31 at the earliest",
    },
    "free standard shipping": {
        "shipping-methods-and-prices": "free from $75",
        "promo-codes": "Free shipping from $75",
        "changing-a-delivery-address": "free shipping from $75",
    },
    "length of standard shipping": {
        "shipping-methods-and-prices": "| 3 to 5 business days |",
        "what-order-statuses-mean": "3 to 5 business days with standard shipping",
    },
    "hour of dispatch": {
        "dispatch-and-cut-off-times": "placed before 1 pm on a business day leave the same day",
        "holiday-deadlines": "before 1 pm Pacific time on the day, before 11 am for overnight",
    },
    "freight": {
        "bulky-item-delivery": "takes **7 to 10 business days**",
        "business-and-bulk-orders": "arrive on a pallet within 7 to 10 business days",
    },
    "search for a parcel": {
        "late-and-lost-parcels": "It takes up to **3 business days**",
        "damaged-wrong-or-missing-items": "which takes up to 3 business days",
    },
    "silence before a search": {
        "late-and-lost-parcels": "for **7 days** in the contiguous United States",
        "tracking-your-parcel": "no new scan for 7 days within the contiguous states",
    },
    "sending again": {
        "late-and-lost-parcels": "Sending it again costs $5.95",
        "changing-a-delivery-address": "we send it again for $5.95",
    },
    "checking a return": {
        "returning-an-order": "checks a return within 3 business days",
        "when-refunds-arrive": "within 3 business days of its arrival",
    },
    "repair time": {
        "repair-workshop": "done in **10 to 15 business days**",
        "warranty": "A repair under warranty takes 10 to 15 business days",
        "leaking-sleeping-pads": "Both take 10 to 15 business days",
    },
    "patch": {
        "repair-workshop": "| Patch up to palm size, fabric or mesh | $15 |",
        "caring-for-wool": "closes holes up to palm size for $15",
        "tent-care": "Or the workshop: $15",
        "leaking-sleeping-pads": "a patch $15",
    },
    "new soles": {
        "repair-workshop": "| New soles for hiking boots | $95 |",
        "boot-care": "**$95** in 20 business days",
    },
    "reproofing": {
        "repair-workshop": "| Reproofing a jacket or pants | $22 |",
        "rainwear-care": "The workshop does it for **$22**",
    },
    "tent pole": {
        "repair-workshop": "| Tent pole section | $18 |",
        "tent-care": "A new section costs $18",
    },
    "quantity discount": {
        "business-and-bulk-orders": "| 20 to 49 | 8 percent |",
        "student-and-service-discounts": "quantity discount for 20 pieces and more",
    },
    "price protection": {
        "price-match-and-price-drops": "**within 14 days** of your order",
        "holiday-deadlines": "The usual 14 days of price protection",
    },
    "keeping invoices": {
        "closing-your-account": "kept for **7 years**",
        "invoices-and-sales-tax": "for the last **seven years**",
        "privacy-and-your-data": "| Orders, invoices, refunds | Tax law | 7 years |",
    },
    "size of gift cards": {
        "gift-cards": "**from $10 to $500**",
        "gift-wrapping-and-messages": "a gift card of $10 to $500",
    },
    "warranty of used things": {
        "warranty": "| Items from Second Nest | 6 months |",
        "second-nest-trade-in": "They have 6 months of warranty",
    },
    "deposit of a preorder": {
        "backorders-and-preorders": "a **deposit of 10 percent**",
        "ways-to-pay": "a deposit of 10 percent first",
    },
}


@pytest.mark.parametrize("slug", ARTICLES)
def test_an_article_has_a_title_headings_and_substance(slug: str) -> None:
    text = ARTICLES[slug]
    first, *rest = text.splitlines()
    assert re.fullmatch(r"# \S.*", first)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert sum(line.startswith("## ") for line in rest) >= 3
    assert not any(line.startswith("# ") for line in rest)
    assert 250 <= len(text.split()) <= 700
    assert len(re.findall(r"\d", text)) >= 4, "an article without figures says nothing exact"


def test_there_are_forty_articles_and_no_two_of_one_title() -> None:
    titles = {text.splitlines()[0].lower() for text in ARTICLES.values()}
    assert len(titles) == len(ARTICLES) >= 40


def test_no_paragraph_is_used_twice() -> None:
    paragraphs = [p for text in ARTICLES.values() for p in text.split("\n\n") if len(p) > 80]
    assert len(set(paragraphs)) == len(paragraphs)


@pytest.mark.parametrize("fact", FACTS)
def test_articles_agree_about(fact: str) -> None:
    missing = [slug for slug, phrase in FACTS[fact].items() if phrase not in ARTICLES[slug]]
    assert missing == []


def test_money_comes_back_in_the_same_days_wherever_it_is_promised() -> None:
    sentences = [
        (slug, sentence)
        for slug, text in ARTICLES.items()
        for sentence in re.split(r"(?<=[.!?])\s|\n", text)
        if re.search(r"refund|gift cards? at once|at once (?:on|to|for) a? ?gift", sentence)
        and re.search(r"\d to \d+ business days", sentence)
    ]
    assert len({slug for slug, _ in sentences}) >= 8
    assert all("5 to 7 business days" in sentence for _, sentence in sentences)


def test_addresses_for_mail_and_web_are_our_own() -> None:
    for text in ARTICLES.values():
        assert all(at == "kestrelandloam.example" for at in re.findall(r"@([\w.-]*\w)", text))
        assert not re.search(r"https?://", text)


def test_articles_speak_of_products_that_the_shop_sells() -> None:
    names = [product["name"] for product in company()["products"].values()]
    told = [name for name in names if any(name in text for text in ARTICLES.values())]
    assert len(told) >= 30


def test_the_rules_for_orders_are_the_ones_that_the_tools_enforce() -> None:
    cancel = ARTICLES["cancelling-an-order"]
    assert "**no longer needed**" in cancel
    assert "**ordered by mistake**" in cancel
    assert "Once per order" in ARTICLES["changing-items-in-an-order"]
    assert "gift card you already have" in ARTICLES["returning-an-order"]
    assert "one payment method per order" in ARTICLES["changing-the-payment-method"]
    assert "exchanged **once**" in ARTICLES["exchanging-an-item"]
