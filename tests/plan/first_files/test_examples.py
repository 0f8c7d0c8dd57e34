"""Values of an example become placeholders by their names and forms."""

import pytest

from gameday.plan.first_files.examples import Templates, has_placeholders, user_template


@pytest.mark.parametrize(
    ("value", "template"),
    [
        (7, "{user}"),
        ("7", "{user:s}"),
        ("00042", "{user:05d}"),
        ("u00042", "u{user:05d}"),
        ("m7", "m{user}"),
        ("6F1C0F5E-1111-4222-8333-444455556666", "{user:uuid}"),
        ("ann@shop.example", "user{user}@shop.example"),
        ("ann", "user-{user}"),
        ("a{b}7", "a{{b}}{user}"),
    ],
)
def test_a_user_is_called_as_in_the_example(value: object, template: str) -> None:
    assert user_template(value) == template


def test_keys_say_who_asks_and_for_what_however_deep() -> None:
    given = {
        "order": {"customer_id": "c001", "items": [{"sku": "SHOE-42", "size": "{x}"}]},
        "Idempotency-Key": "abc",
        "gift": True,
        "note": None,
    }
    made = Templates()
    assert made.of("", given) == {
        "order": {
            "customer_id": "c{user:03d}",
            "items": [{"sku": "{coupon}", "size": "{{x}}"}],
        },
        "Idempotency-Key": "{key}",
        "gift": True,
        "note": None,
    }
    assert made.coupon == "SHOE-42"


def test_of_two_codes_the_first_is_the_campaign_and_the_other_stays() -> None:
    made = Templates()
    assert made.of("", {"code": "A1", "event": "B2"}) == {"code": "{coupon}", "event": "B2"}


def test_what_no_experiment_could_name_is_no_campaign() -> None:
    made = Templates()
    assert made.of("code", "a b\n") == "a b\n"
    assert made.of("code", "") == ""
    assert made.coupon is None


def test_placeholders_that_are_written_already_stay() -> None:
    assert Templates().of("memberId", "x{user:05d}") == "x{user:05d}"
    assert not has_placeholders("{nobody}")
    assert not has_placeholders("{{user}}")


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/coupons/SALE25/issue", "/coupons/{coupon}/issue"),
        ("/users/42/orders", "/users/{user}/orders"),
        ("/api/v1/orders", "/api/v1/orders"),
        ("/coupons/3/issue", "/coupons/3/issue"),
        ("/a%20B1/x", "/a%20B1/x"),
        ("/{coupon}/x", "/{coupon}/x"),
        ("/{id}/x", "/{{id}}/x"),
    ],
)
def test_a_path_names_a_campaign_or_a_user_after_its_kind(path: str, template: str) -> None:
    assert Templates().path(path) == template


def test_deep_and_wide_values_end() -> None:
    deep: object = "x"
    for _ in range(150):
        deep = [deep]
    assert "x" not in repr(Templates().of("", deep))


@pytest.mark.parametrize(
    ("name", "value", "template"),
    [
        ("X-User-Id", "101", "{user}"),
        ("x-member-id", "m0042", "m{user:04d}"),
        ("X-Auth-User", "6F1C0F5E-1111-4222-8333-444455556666", "{user:uuid}"),
        ("X-Forwarded-User", "ann@shop.example", "user{user}@shop.example"),
        ("X-Account-Id", "{user:s}", "{user:s}"),
        ("X-Campaign-Code", "SALE", "{coupon}"),
        ("X-Idempotency-Key", "abc", "{key}"),
        ("X-Client-Id", "web-7", "web-7"),  # a program, and no person
        ("X-Client-Id", "7", "{user}"),
        ("X-Product", "app", "app"),
        ("User-Agent", "Mozilla/5.0 {x}", "Mozilla/5.0 {{x}}"),
        ("X-Request-Start", "17", "17"),
    ],
)
def test_a_header_says_who_asks_as_a_body_does(name: str, value: str, template: str) -> None:
    assert Templates().header(name, value) == template


def test_a_number_is_the_campaign_only_where_the_system_makes_it_up() -> None:
    assert Templates().of("", {"eventId": 3}) == {"eventId": 3}
    made = Templates(numbers=True)
    assert made.of("", {"eventId": 3, "itemId": 4, "count": 3}) == {
        "eventId": "{coupon}",
        "itemId": 4,
        "count": 3,
    }
    assert Templates(numbers=True).path("/coupons/3/issue") == "/coupons/{coupon}/issue"
