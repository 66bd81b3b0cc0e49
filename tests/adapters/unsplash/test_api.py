"""Unsplash by its terms: hot links, referral, reports of use; and nothing that a hostile answer wants."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from macroslow.adapters.unsplash import Unsplash
from macroslow.errors import MacroslowError, UpstreamRefusedError, UpstreamUnavailableError
from macroslow.images.search import (
    Allowance,
    Answered,
    HotLink,
    Image,
    ImageQuery,
    LimitReachedError,
    Orientation,
)
from macroslow.workflow.outside import OutsideAnswer

JSON = "application/json"
SUNSET = ImageQuery("sunset")


@dataclass
class Api:
    """Answers what it is told to, and remembers what it was asked."""

    answer: OutsideAnswer = field(default_factory=lambda: OutsideAnswer(200, JSON, b"{}"))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def get(self, path: str, query: str) -> OutsideAnswer:
        self.asked.append((path, dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))))
        return self.answer


def photo(**changed: object) -> dict[str, Any]:
    image = "https://images.unsplash.com/photo-1?ixid=M3w0NTQ&fm=jpg"
    return {
        "id": "Dwu85P9SOIk",
        "width": 5616,
        "height": 3744,
        "description": None,
        "alt_description": "a lake at dusk",
        "urls": {"regular": f"{image}&w=1080", "small": f"{image}&w=400", "thumb": f"{image}&w=200"},
        "links": {
            "html": "https://unsplash.com/photos/Dwu85P9SOIk",
            "download_location": "https://api.unsplash.com/photos/Dwu85P9SOIk/download?ixid=M3w0NTQ",
        },
        "user": {"name": "Ann Lee", "links": {"html": "https://unsplash.com/@annlee?ref=x"}},
        **changed,
    }


def found(*photos: object, **headers: str) -> OutsideAnswer:
    body = orjson.dumps({"total": 133, "total_pages": 7, "results": list(photos)})
    return OutsideAnswer(200, JSON, body, {name.replace("_", "-"): value for name, value in headers.items()})


async def search(answer: OutsideAnswer, query: ImageQuery = SUNSET, **more: Any) -> Answered:
    return await Unsplash(Api(answer), "my app", **more).search(query)


async def images(*photos: object) -> tuple[Image, ...]:
    answered = await search(found(*photos))
    assert answered.found is not None
    assert answered.found.left_out == len(photos) - len(answered.found.images)
    return answered.found.images


async def test_a_search_is_asked_in_unsplashs_words() -> None:
    api = Api(found())
    query = ImageQuery("big sky", Orientation.PORTRAIT, count=5, page=2, safe=False)
    await Unsplash(api, "my app").search(query)
    await Unsplash(api, "my app").search(SUNSET)
    assert api.asked == [
        (
            "/search/photos",
            {
                "query": "big sky",
                "page": "2",
                "per_page": "5",
                "content_filter": "low",
                "orientation": "portrait",
            },
        ),
        ("/search/photos", {"query": "sunset", "page": "1", "per_page": "10", "content_filter": "high"}),
    ]


async def test_a_photo_has_its_hot_links_and_its_attribution_with_referral() -> None:
    (one,) = await images(photo())
    referral = "?utm_source=my+app&utm_medium=referral"
    assert one.urls.small == "https://images.unsplash.com/photo-1?ixid=M3w0NTQ&fm=jpg&w=400", "as it came"
    assert (one.author.name, one.author.url) == ("Ann Lee", f"https://unsplash.com/@annlee{referral}")
    assert one.attribution.text == "Photo by Ann Lee on Unsplash"
    escaped = referral.replace("&", "&amp;")
    assert one.attribution.html == (
        f'Photo by <a href="https://unsplash.com/@annlee{escaped}">Ann Lee</a>'
        f' on <a href="https://unsplash.com/{escaped}">Unsplash</a>'
    )
    assert one.page_url == f"https://unsplash.com/photos/Dwu85P9SOIk{referral}"
    assert (one.description, one.width, one.height) == ("a lake at dusk", 5616, 3744)
    assert Unsplash(Api(), "a").terms.hotlink is HotLink.REQUIRED


async def test_a_use_is_told_where_the_photo_said() -> None:
    (one,) = await images(photo())
    assert one.trace == "M3w0NTQ"
    api = Api()
    await Unsplash(api, "my app").report_use(one.id, one.trace)
    assert api.asked == [("/photos/Dwu85P9SOIk/download", {"ixid": "M3w0NTQ"})]


async def test_a_download_location_without_a_trace_is_told_without_one() -> None:
    links = {**photo()["links"], "download_location": "https://api.unsplash.com/photos/Dwu85P9SOIk/download"}
    (one,) = await images(photo(links=links))
    api = Api()
    assert one.trace == ""
    await Unsplash(api, "my app").report_use(one.id, one.trace)
    assert api.asked == [("/photos/Dwu85P9SOIk/download", {})]


LOCATIONS = [
    "https://api.unsplash.com/photos/Another/download?ixid=M3",
    "https://api.unsplash.com/photos/Dwu85P9SOIk/download/../../../me?ixid=M3",
    "https://api.unsplash.com.evil.example/photos/Dwu85P9SOIk/download?ixid=M3",
    "https://user@api.unsplash.com/photos/Dwu85P9SOIk/download?ixid=M3",
    "http://api.unsplash.com/photos/Dwu85P9SOIk/download?ixid=M3",
    "https://api.unsplash.com:444/photos/Dwu85P9SOIk/download?ixid=M3",
    "https://api.unsplash.com/photos/Dwu85P9SOIk/download?ixid=a%26b",
    "https://api.unsplash.com/photos/Dwu85P9SOIk/download?ixid=" + 600 * "a",
    "https://169.254.169.254/photos/Dwu85P9SOIk/download",
    None,
    7,
]


@pytest.mark.parametrize("location", LOCATIONS, ids=range(len(LOCATIONS)))
async def test_a_photo_whose_use_could_be_told_to_somebody_else_is_left_out(location: object) -> None:
    links = {"html": "https://unsplash.com/photos/Dwu85P9SOIk", "download_location": location}
    assert await images(photo(links=links)) == ()


ADDRESSES = [
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "http://images.unsplash.com/photo-1",
    "https://images.unsplash.com.evil.example/photo-1",
    "https://evil.example/images.unsplash.com/photo-1",
    "https://images.unsplash.com@evil.example/photo-1",
    "https://evil.example\\@images.unsplash.com/photo-1",
    "https://images.unsplash.com:8443/photo-1",
    "https://plus.unsplash.com/premium_photo-1",
    "//images.unsplash.com/photo-1",
    'https://images.unsplash.com/"><script>',
    "https://images.unsplash.com/pho to",
    "https://images.unsplash.com/phöto",
    "https://images.unsplash.com/a\nb",
    "https://[images.unsplash.com/a",
    "https://images.unsplash.com/" + 3000 * "a",
    "",
    None,
    ["https://images.unsplash.com/photo-1"],
]


@pytest.mark.parametrize("address", ADDRESSES, ids=range(len(ADDRESSES)))
@pytest.mark.parametrize("size", ["thumb", "small", "regular"])
async def test_a_photo_at_any_other_address_is_left_out(size: str, address: object) -> None:
    urls = {**photo()["urls"], size: address}
    assert await images(photo(urls=urls), photo()) == await images(photo())


BROKEN: list[Callable[[dict[str, Any]], object]] = [
    lambda one: one.pop("id"),
    lambda one: one.update(id="../../me"),
    lambda one: one.update(id=7),
    lambda one: one.update(id=65 * "a"),
    lambda one: one.update(width="5616"),
    lambda one: one.update(width=-1),
    lambda one: one.update(height=10**12),
    lambda one: one.update(width=True),
    lambda one: one.update(urls=[]),
    lambda one: one.update(user=None),
    lambda one: one["user"].update(links={"html": "https://evil.example/@annlee"}),
    lambda one: one["links"].update(html="javascript:alert(1)"),
    lambda one: one.pop("links"),
]


@pytest.mark.parametrize("spoil", BROKEN, ids=range(len(BROKEN)))
async def test_a_photo_that_is_not_in_order_is_left_out_and_the_others_stay(spoil: Any) -> None:
    spoiled = photo()
    spoil(spoiled)
    assert await images(spoiled, photo()) == await images(photo())


@pytest.mark.parametrize("one", [None, 7, "photo", [], {}])
async def test_what_is_no_photo_is_left_out(one: object) -> None:
    assert await images(one) == ()


async def test_texts_come_out_as_one_plain_line() -> None:
    wild = "a\u202ekcab\u200b \x00\x1b[31mred\x1b[0m\r\nIgnore all\u2028previous \ud83d\ude00" + 500 * "x"
    user = {"name": '<b>Ann</b>\u2066 "&"', "links": photo()["user"]["links"]}
    body = orjson.dumps({"total": 1, "results": [photo(description="@", user=user)]})
    answer = OutsideAnswer(200, JSON, body.replace(b'"@"', _escaped(wild)))
    answered = await search(answer)
    assert answered.found is not None
    (one,) = answered.found.images
    assert one.description.startswith("akcab [31mred[0m Ignore all previous 😀xxx")
    assert len(one.description) <= 300
    assert one.description.isprintable()
    assert one.author.name == '<b>Ann</b> "&"'
    assert "&lt;b&gt;Ann&lt;/b&gt; &quot;&amp;&quot;</a>" in one.attribution.html


def _escaped(text: str) -> bytes:
    return b'"' + "".join(f"\\u{ord(each):04x}" for each in text).encode() + b'"'


async def test_more_results_than_were_asked_for_are_not_taken() -> None:
    answered = await search(found(*[photo()] * 50), ImageQuery("sunset", count=3))
    assert answered.found is not None
    assert (len(answered.found.images), answered.found.left_out, answered.found.total) == (3, 0, 133)


@pytest.mark.parametrize("total", [b"null", b'"1"', b"-1", b"1e400", b"1.5"])
async def test_a_total_that_is_none_is_what_came(total: bytes) -> None:
    body = b'{"total": %b, "results": []}' % total
    try:
        answered = await search(OutsideAnswer(200, JSON, body))
    except UpstreamUnavailableError:
        assert total == b"1e400", "which is no JSON number that can be held"
        return
    assert answered.found is not None
    assert answered.found.total == 0


GARBAGE = [
    b"",
    b"nope",
    b"[]",
    b"null",
    b"{",
    b'{"results": {}}',
    b'{"results": null}',
    b"\xff\xfe",
    b"[" * 5000,
]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_an_upstream_that_fails(body: bytes) -> None:
    with pytest.raises(UpstreamUnavailableError) as failed:
        await search(OutsideAnswer(200, JSON, body))
    assert failed.value.upstream == "unsplash"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, UpstreamUnavailableError),
        (204, UpstreamUnavailableError),
        (500, UpstreamUnavailableError),
        (503, UpstreamUnavailableError),
        (400, UpstreamRefusedError),
        (401, UpstreamRefusedError),
        (403, UpstreamRefusedError),
        (404, UpstreamRefusedError),
    ],
)
async def test_an_error_says_its_status_and_nothing_of_its_body(status: int, error: type) -> None:
    with pytest.raises(error) as failed:
        await search(OutsideAnswer(status, JSON, b'{"errors": ["your key Zk3w9vX1r5 is bad"]}'))
    assert isinstance(failed.value, MacroslowError)
    assert str(status) in failed.value.detail
    assert "Zk3w9vX1r5" not in failed.value.detail + failed.value.fix + failed.value.reason


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OutsideAnswer(429, JSON, b""), None),
        (OutsideAnswer(403, "text/plain", b"Rate Limit Exceeded"), None),
        (
            OutsideAnswer(403, "text/plain", b"", {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0"}),
            Allowance(50, 0),
        ),
    ],
    ids=["429", "its words", "its headers"],
)
async def test_its_limit_is_told_apart_from_a_bad_key(answer: OutsideAnswer, said: Allowance | None) -> None:
    with pytest.raises(LimitReachedError) as reached:
        await search(answer)
    assert reached.value.allowance == said


@pytest.mark.parametrize(
    ("limit", "remaining", "said"),
    [
        ("5000", "4999", Allowance(5000, 4999)),
        ("50", "51", None),
        ("0", "0", None),
        ("-50", "1", None),
        ("50", "", None),
        ("٥٠", "1", None),
        ("9" * 40, "1", None),
    ],
)
async def test_the_limit_that_it_tells_is_learned_where_it_makes_sense(
    limit: str, remaining: str, said: Allowance | None
) -> None:
    answer = found(x_ratelimit_limit=limit, x_ratelimit_remaining=remaining)
    assert (await search(answer)).allowance == said


async def test_an_emulator_is_refused_unless_the_operator_said_so() -> None:
    answer = found(x_macroslow_emulator="1")
    with pytest.raises(UpstreamUnavailableError) as refused:
        await search(answer)
    assert "emulator = true" in refused.value.fix
    assert (await search(answer, base_url="http://127.0.0.1:9", emulator=True)).found is not None


async def test_addresses_of_an_emulator_are_its_own_and_nobody_elses() -> None:
    origin = "http://127.0.0.1:8100"
    text = orjson.dumps(photo()).decode()
    for host in ("https://images.unsplash.com", "https://api.unsplash.com", "https://unsplash.com"):
        text = text.replace(host, origin)
    answered = await search(found(orjson.loads(text), photo()), base_url=origin, emulator=True)
    assert answered.found is not None
    (one,) = answered.found.images
    assert one.urls.thumb.startswith(f"{origin}/")
    assert answered.found.left_out == 1, "which would have led out of the machine"
