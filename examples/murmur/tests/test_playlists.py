import pytest


@pytest.fixture
def number(client):
    body = {"name": "Sea", "tracks": ["low-tide", "the-last-ferry"]}
    return client.post("/playlists", json=body).json()["number"]


def titles(playlist):
    return [track["title"] for track in playlist["tracks"]]


def test_a_playlist_keeps_its_order(client, number):
    assert titles(client.get(f"/playlists/{number}").json()) == ["Low Tide", "The Last Ferry"]


def test_playlists_are_listed_with_their_length(client, number):
    expected = {"number": number, "name": "Sea", "length": 2}
    assert client.get("/playlists").json()["playlists"] == [expected]


def test_tracks_are_added_at_the_end(client, number):
    answer = client.post(f"/playlists/{number}/tracks", json={"tracks": ["low-tide"]})
    assert titles(answer.json()) == ["Low Tide", "The Last Ferry", "Low Tide"]


def test_a_playlist_can_be_full(client, number):
    for _ in range(2):
        client.post(f"/playlists/{number}/tracks", json={"tracks": ["lamplight"] * 200})
    answer = client.post(f"/playlists/{number}/tracks", json={"tracks": ["lamplight"] * 99})
    assert answer.json()["error"]["code"] == "playlist_full"


def test_a_removed_playlist_is_gone(client, number):
    assert client.delete(f"/playlists/{number}").status_code == 204
    assert client.get(f"/playlists/{number}").status_code == 404


def test_an_unknown_track_makes_no_playlist(client):
    answer = client.post("/playlists", json={"name": "Odd", "tracks": ["no-such"]})
    assert answer.status_code == 404
    assert client.get("/playlists").json()["playlists"] == []


@pytest.mark.parametrize("body", [{"tracks": ["low-tide"]}, {"name": " ", "tracks": ["low-tide"]}])
def test_a_playlist_has_a_name(client, body):
    assert client.post("/playlists", json=body).status_code == 422


@pytest.mark.parametrize("number", ["7", "-1", "one", "9" * 5000])
def test_an_unknown_playlist_is_not_found(client, number):
    assert client.get(f"/playlists/{number}").status_code == 404
