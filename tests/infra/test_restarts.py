"""The restart policy: pure, so no process and no clock."""

from hypothesis import given
from hypothesis import strategies as st

from infra.restarts import Phase, RestartPolicy, ended, first_state, started, stopping

POLICY = RestartPolicy(delay_s_first=1.0, delay_s_max=8.0, healthy_after_s=30.0)


def test_a_new_part_is_due_at_once() -> None:
    assert first_state(now=5.0).is_due(5.0)


def test_a_part_that_crashes_again_and_again_waits_longer_up_to_the_maximum() -> None:
    state, now, waits = first_state(0.0), 0.0, []
    for _ in range(6):
        state = ended(started(state, now), 1, now, POLICY)
        waits.append(state.start_at - now)
        now = state.start_at
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_healthy_run_starts_the_count_anew() -> None:
    state = ended(started(first_state(0.0), 0.0), 1, 0.0, POLICY)
    state = ended(started(state, 1.0), 1, 1.0, POLICY)
    state = ended(started(state, 3.0), 1, 33.0, POLICY)
    assert state.failures == 1
    assert state.start_at == 34.0


def test_restarts_are_counted_but_not_the_first_start() -> None:
    state = started(first_state(0.0), 0.0)
    assert state.restarts == 0
    assert started(ended(state, 0, 1.0, POLICY), 2.0).restarts == 1


def test_a_clean_exit_is_restarted_too() -> None:
    state = ended(started(first_state(0.0), 0.0), 0, 1.0, POLICY)
    assert (state.phase, state.exit_code) == (Phase.WAITING, 0)


def test_an_end_while_stopping_is_final() -> None:
    state = ended(stopping(started(first_state(0.0), 0.0), 1.0), 143, 2.0, POLICY)
    assert state.phase is Phase.STOPPED
    assert not state.is_due(1e9)


def test_a_waiting_part_has_nothing_to_stop() -> None:
    assert stopping(first_state(0.0), 1.0).phase is Phase.STOPPED


@given(failures=st.integers(1, 100_000))
def test_no_wait_is_longer_than_the_maximum(failures: int) -> None:
    assert POLICY.delay_s_first <= POLICY.delay_s(failures) <= POLICY.delay_s_max
