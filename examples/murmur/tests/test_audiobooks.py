from itertools import pairwise

import pytest

BOOK = "/audiobooks/the-lamplighters-ledger"


def test_books_are_listed(client):
    books = client.get("/audiobooks").json()["audiobooks"]
    assert [book["title"] for book in books] == [
        "Letters from the Salt Road",
        "The Lamplighter's Ledger",
    ]


def test_a_book_says_how_long_it_is(client):
    book = client.get(BOOK).json()
    assert book["narrator"] == "Oona Fairweather"
    assert 200 < book["seconds"] < 600


def test_the_transcript_is_in_order_and_does_not_overlap(client):
    segments = client.get(f"{BOOK}/transcript").json()["segments"]
    assert len(segments) == 20
    for one, other in pairwise(segments):
        assert one["start_second"] < one["end_second"] <= other["start_second"]


def test_a_part_of_the_transcript(client):
    segments = client.get(f"{BOOK}/transcript", params={"from": 60, "to": 61}).json()["segments"]
    assert [segment["number"] for segment in segments] == [3]


@pytest.mark.parametrize("second", ["-1", "soon", "nan"])
def test_a_second_that_is_none_is_refused(client, second):
    assert client.get(f"{BOOK}/transcript", params={"from": second}).status_code == 422


@pytest.mark.parametrize("path", ["/audiobooks/none", "/audiobooks/none/transcript"])
def test_an_unknown_book_is_not_found(client, path):
    assert client.get(path).status_code == 404
