import pytest


def test_every_track_has_an_album_an_artist_and_a_tempo(client):
    tracks = client.get("/tracks").json()["tracks"]
    assert len(tracks) == 20
    assert all(track["album"] and track["artist"] and track["bpm"] > 0 for track in tracks)


def test_tracks_of_one_artist(client):
    tracks = client.get("/tracks", params={"artist": "ines-halloran"}).json()["tracks"]
    assert [track["id"] for track in tracks] == [
        "first-snow",
        "rain-on-slate",
        "a-letter-unsent",
        "lamplight",
    ]


def test_one_track(client):
    track = client.get("/tracks/low-tide").json()
    assert (track["title"], track["artist"], track["year"]) == ("Low Tide", "Marlow Quay", 2019)
    assert "sea" in track["tags"]


def test_credits_keep_their_order(client):
    credits = client.get("/tracks/low-tide/credits").json()["credits"]
    assert credits[0] == {"role": "writer", "person": "Marlow Quay"}
    assert {"role": "cello", "person": "Ines Halloran"} in credits


def test_a_fact_says_where_it_was_read(client):
    facts = client.get("/tracks/low-tide/facts").json()["facts"]
    assert facts[0]["source"]["title"] == "Low Tide, liner notes"
    assert facts[-1]["source"] is None


def test_an_artist_comes_with_its_albums(client):
    artist = client.get("/artists/marlow-quay").json()
    assert [album["year"] for album in artist["albums"]] == [2019, 2023]
    assert len(client.get("/artists").json()["artists"]) == 6


def test_an_album_comes_with_its_tracks(client):
    album = client.get("/albums/neon-orchard").json()
    assert [track["number"] for track in album["tracks"]] == [1, 2, 3]
    assert len(client.get("/albums").json()["albums"]) == 7


@pytest.mark.parametrize(
    "path", ["/tracks/none", "/tracks/none/facts", "/artists/no", "/albums/no"]
)
def test_what_is_not_in_the_catalogue_is_not_found(client, path):
    assert client.get(path).status_code == 404
