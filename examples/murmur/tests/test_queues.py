import pytest
from starlette.testclient import TestClient

from murmur.app import create_app

TRACKS = ["low-tide", "harbour-lights", "neon-orchard", "first-snow"]


@pytest.fixture
def ana(client):
    """A client whose listener Ana has four tracks in her queue."""
    client.post("/queues/ana/tracks", json={"tracks": TRACKS})
    return client


def playing(client, listener="ana"):
    now = client.get(f"/queues/{listener}").json()["now"]
    return now and now["id"]


def test_a_new_listener_has_an_empty_queue(client):
    queue = client.get("/queues/ben").json()
    assert (queue["now"], queue["next"], queue["played"]) == (None, [], [])


def test_the_first_track_plays_and_the_others_wait(ana):
    queue = ana.get("/queues/ana").json()
    assert queue["now"]["title"] == "Low Tide"
    assert [track["id"] for track in queue["next"]] == TRACKS[1:]


def test_tracks_are_added_at_the_end(ana):
    queue = ana.post("/queues/ana/tracks", json={"tracks": ["lamplight"]}).json()
    assert queue["next"][-1]["id"] == "lamplight"


def test_an_unknown_track_adds_nothing(ana):
    answer = ana.post("/queues/ana/tracks", json={"tracks": ["lamplight", "no-such"]})
    assert answer.status_code == 404
    assert len(ana.get("/queues/ana").json()["next"]) == 3


def test_a_queue_has_an_end(client):
    for _ in range(5):
        client.post("/queues/ana/tracks", json={"tracks": ["lamplight"] * 200})
    answer = client.post("/queues/ana/tracks", json={"tracks": ["lamplight"]})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "queue_full"


def test_a_skip_moves_on(ana):
    queue = ana.post("/queues/ana/skip").json()
    assert queue["now"]["id"] == "harbour-lights"
    assert queue["played"] == ["low-tide"]


def test_two_quick_skips_move_two_tracks(ana):
    """Somebody who presses twice at once wants to be two tracks further."""
    ana.post("/queues/ana/skip", json={"request_id": "press-1", "from_track": "low-tide"})
    ana.post("/queues/ana/skip", json={"request_id": "press-2", "from_track": "harbour-lights"})
    assert playing(ana) == "neon-orchard"


def test_a_player_that_sends_nothing_can_skip_quickly_too(ana):
    for _ in range(3):
        ana.post("/queues/ana/skip")
    assert playing(ana) == "first-snow"


def test_the_player_may_name_its_request_in_a_header(ana):
    answer = ana.post("/queues/ana/skip", headers={"Idempotency-Key": "press-1"})
    assert answer.status_code == 200


def test_a_skip_at_the_end_is_refused(ana):
    for _ in TRACKS:
        assert ana.post("/queues/ana/skip").status_code == 200
    answer = ana.post("/queues/ana/skip")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "nothing_to_skip"
    assert playing(ana) is None


def test_what_is_added_after_the_end_plays_at_once(ana):
    for _ in TRACKS:
        ana.post("/queues/ana/skip")
    ana.post("/queues/ana/tracks", json={"tracks": ["lamplight"]})
    assert playing(ana) == "lamplight"


def test_listeners_do_not_hear_one_another(ana):
    ana.post("/queues/ben/tracks", json={"tracks": TRACKS})
    ana.post("/queues/ben/skip")
    assert playing(ana, "ana") == "low-tide"
    assert playing(ana, "ben") == "harbour-lights"


@pytest.mark.parametrize("body", [{}, {"tracks": []}, {"tracks": "low-tide"}, {"tracks": [1]}])
def test_tracks_must_be_a_list_of_names(client, body):
    assert client.post("/queues/ana/tracks", json=body).status_code == 422


@pytest.mark.parametrize("body", [{"request_id": 7}, {"request_id": "x" * 101}, {"from_track": ""}])
def test_what_the_player_sends_is_checked(ana, body):
    assert ana.post("/queues/ana/skip", json=body).status_code == 422
    assert playing(ana) == "low-tide"


@pytest.mark.parametrize("listener", ["Ana", "a b", "-", "x" * 65])
def test_a_listener_has_a_plain_name(client, listener):
    assert client.get(f"/queues/{listener}").status_code == 422


def test_a_queue_survives_a_restart(tmp_path):
    file = str(tmp_path / "murmur.db")
    with TestClient(create_app(file)) as client:
        client.post("/queues/ana/tracks", json={"tracks": TRACKS})
        client.post("/queues/ana/skip")
    with TestClient(create_app(file)) as client:
        assert playing(client) == "harbour-lights"
        assert len(client.get("/tracks").json()["tracks"]) == 20
