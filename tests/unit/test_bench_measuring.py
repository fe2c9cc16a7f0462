"""What makes a figure, and when no verdict is given."""

from bench.measuring import Figure, Machine, rounds


def _figure(ours: float, limit: float | None) -> Figure:
    return Figure("it", "s", (ours, ours, ours), "bare", (0.5, 0.5, 0.6), limit)


def _machine(*spins: float, load: float = 0.5) -> Machine:
    return Machine(list(spins), [load] * len(spins))


def test_a_promise_is_kept_broken_or_left_open() -> None:
    steady, shaky = _machine(1.0, 1.01, 1.02), _machine(1.0, 1.6, 1.7)
    assert steady.verdict(_figure(0.2, 0.3)) == "kept"
    assert steady.verdict(_figure(0.4, 0.3)) == "broken"
    assert shaky.verdict(_figure(0.4, 0.3)) == "too noisy"
    assert shaky.verdict(_figure(0.2, 0.3)) == "kept"
    assert steady.verdict(_figure(9.0, None)) == "none"


def test_a_crowded_machine_gives_no_verdict() -> None:
    assert _machine(1.0, 1.0, load=1000.0).verdict(_figure(0.4, 0.3)) == "too noisy"


def test_a_record_has_its_floor_and_its_rounds() -> None:
    record = _figure(1.0, 2.0).record("kept")
    assert (record["median"], record["floor_median"], record["added"], record["ratio"]) == (1.0, 0.5, 0.5, 2.0)
    assert record["rounds"] == [1.0, 1.0, 1.0]


def test_rounds_interleave_and_drop_the_first() -> None:
    order: list[str] = []
    machine = Machine()

    def subject(name: str, answer: float | None) -> float | None:
        order.append(name)
        return answer

    taken = rounds(machine, 3, {"a": lambda: subject("a", 7.0), "b": lambda: subject("b", None)})
    assert order == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert taken["a"] == (7.0, 7.0, 7.0)
    assert len(taken["b"]) == 3
    assert all(value >= 0 for value in taken["b"])
    assert len(machine.spins) == 4
