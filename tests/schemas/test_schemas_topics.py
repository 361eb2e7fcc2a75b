"""Addresses and topics: both schemes, both versions, custom prefixes, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import Address, CustomPrefix, Topics

LEVEL = st.text(st.characters(exclude_characters="/+#\0", exclude_categories=("Cs",)), min_size=1, max_size=12)
KIND = st.sampled_from(["post", "command", "result"])


@given(
    scheme=st.sampled_from(["wudun", "user"]),
    version=st.sampled_from([1, 2]),
    owner=LEVEL,
    device=LEVEL,
    feature=LEVEL,
    action=LEVEL,
    kind=KIND,
)
def test_every_address_of_the_schemes_is_its_topic(
    scheme: str, version: int, owner: str, device: str, feature: str, action: str, kind: str
) -> None:
    topics = Topics()
    prefix = topics.prefix(scheme, version, owner)
    address = Address(scheme, version, owner, device, feature, action, kind, prefix)
    assert topics.parse(address.topic) == address
    assert address.topic == f"v{version}/{scheme}/{owner}/{device}/{feature}/{action}/{kind}"
    assert address.topic.endswith(address.suffix)


@given(prefix=st.lists(LEVEL, min_size=1, max_size=5).map("/".join), device=LEVEL, version=st.sampled_from([1, 2]))
def test_a_custom_prefix_of_any_depth_parses_from_the_right(prefix: str, device: str, version: int) -> None:
    topics = Topics([CustomPrefix(prefix, "acme", version)])
    address = topics.parse(f"{prefix}/{device}/report/regular/post")
    assert address is not None
    assert address[:4] == ("custom", version, "acme", device)
    assert address.prefix == prefix
    assert topics.prefix("custom", version, "acme") == prefix


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_none(topic: str) -> None:
    address = Topics().parse(topic)
    assert address is None or address.topic == topic


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "v1/wudun/key/EMS001/report/regular",
        "v1/wudun/key/EMS001/report/regular/reply",
        "v3/wudun/key/EMS001/report/regular/post",
        "v1/other/key/EMS001/report/regular/post",
        "v1/wudun//EMS001/report/regular/post",
        "v1/wudun/key//report/regular/post",
        "v1/wudun/key/EMS001//regular/post",
        "v1/wudun/key/EMS001/report//post",
        "/v1/wudun/key/EMS001/report/regular/post",
        "v1/wudun/key/EMS001/report/regular/post/",
        "v1/wudun/key/more/EMS001/report/regular/post",
        "v1/wudun/+/EMS001/report/regular/post",
        "v1/wudun/key/#/report/regular/post",
        "bridge/v1/key/EMS001/error",
    ],
)
def test_outside_the_schemes(topic: str) -> None:
    assert Topics().parse(topic) is None


def test_a_custom_prefix_goes_before_a_scheme() -> None:
    topics = Topics([CustomPrefix("v1/wudun/key", "renamed", 2, "site")])
    address = topics.parse("v1/wudun/key/EMS001/report/regular/post")
    assert address is not None
    assert address[:3] == ("site", 2, "renamed")


def test_the_answer_goes_to_the_result_topic() -> None:
    address = Topics().parse("v2/user/t1/EMS001/device_info/sync/command")
    assert address is not None
    assert address.with_kind("result").topic == "v2/user/t1/EMS001/device_info/sync/result"


@pytest.mark.parametrize("prefix", ["", "/", "a/+/b", "a/#", "a\0b"])
def test_a_prefix_that_cannot_stand_in_a_topic_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="custom prefix"):
        Topics([CustomPrefix(prefix, "acme")])


def test_a_prefix_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Topics([CustomPrefix("site/a", "acme"), CustomPrefix("site/a/", "other")])


@pytest.mark.parametrize(
    ("scheme", "version", "owner"), [("wudun", 3, "key"), ("other", 1, "key"), ("user", 1, ""), ("user", 1, "a/b")]
)
def test_no_prefix_for_an_unknown_owner(scheme: str, version: int, owner: str) -> None:
    with pytest.raises(ValueError, match="no topic prefix"):
        Topics().prefix(scheme, version, owner)
