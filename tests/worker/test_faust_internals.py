"""What the worker leans on inside faust-streaming: pinned, and checked here so that a change fails with a name."""

import inspect
from importlib.metadata import version

import faust
import faust.transport.drivers.aiokafka as driver
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka.consumer import group_coordinator, subscription_state  # type: ignore[import-untyped]
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import by_url
from faust.transport.conductor import ConductorCompiler
from faust.transport.consumer import Consumer, Fetcher

from streams.worker import transport

PINNED = "0.15.3"


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("faust-streaming") == PINNED


def test_the_entry_point_gives_our_transport() -> None:
    assert by_url("kafold://127.0.0.1:9092") is transport.Transport


def test_the_aiokafka_consumer_is_made_where_its_isolation_level_can_be_set() -> None:
    source = inspect.getsource(driver.AIOKafkaConsumerThread)
    assert "self._consumer = self._create_consumer(loop=self.thread_loop)" in source
    assert "return self._create_worker_consumer(transport)" in source
    assert "self._isolation_level" in inspect.getsource(AIOKafkaConsumer)


def test_seeking_is_awaited_after_each_assignment_and_before_the_flow_is_resumed() -> None:
    source = inspect.getsource(Recovery._resume_streams)
    assert source.index("consumer.perform_seek()") < source.index("consumer.resume_flow()")


def test_the_loop_from_fetching_to_the_agents_is_the_one_that_is_replaced() -> None:
    assert "await consumer._drain_messages(self)" in inspect.getsource(Fetcher)
    source = inspect.getsource(Consumer.getmany)
    assert "await self._wait_next_records(timeout)" in source
    assert "await self.wait_first(" in inspect.getsource(Consumer._drain_messages).replace("\n", "")


def test_seek_wait_seeks_and_sets_the_read_offset() -> None:
    assert "consumer.seek(tp, offset)" in inspect.getsource(driver.AIOKafkaConsumerThread._seek_wait)


def test_a_full_buffer_is_told_to_the_consumer_and_makes_its_callback_wait() -> None:
    source = inspect.getsource(ConductorCompiler)
    assert "consumer_on_buffer_full = app.consumer.on_buffer_full" in source
    assert "ensure_future(dest_chan.put(dest_event))" in source
    # Why the transport leaves no partition out: without any, Faust sleeps for a second.
    assert "await self.sleep(1)" in inspect.getsource(Consumer._wait_next_records)
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in inspect.getsource(AIOKafkaConsumer)


def test_a_batch_has_no_more_events_than_the_option_says() -> None:
    source = inspect.getsource(driver.AIOKafkaConsumerThread)
    assert "max_poll_records=conf.broker_max_poll_records" in source
    assert "max_records=_consumer._max_poll_records" in source


def test_topics_that_were_not_known_when_the_group_was_formed_are_found_by_asking_for_metadata_again() -> None:
    assert "metadata_max_age_ms=conf.consumer_metadata_max_age_ms" in inspect.getsource(driver.AIOKafkaConsumerThread)
    assert "self._on_metadata_change()" in inspect.getsource(group_coordinator.BaseCoordinator._handle_metadata_update)


def test_the_aiokafka_consumer_knows_position_and_high_watermark_of_each_partition() -> None:
    assert "self._subscription = " in inspect.getsource(AIOKafkaConsumer.__init__)
    assert "def state_value(self, tp" in inspect.getsource(subscription_state.Assignment)
    state = inspect.getsource(subscription_state.TopicPartitionState)
    assert "self.highwater = None" in state
    assert "def position(self)" in state


def test_a_coroutine_can_be_run_in_the_consumers_thread() -> None:
    assert "return await self.call_thread(" in inspect.getsource(driver.AIOKafkaConsumerThread.earliest_offsets)
    assert inspect.iscoroutinefunction(AIOKafkaConsumer.offsets_for_times)
    assert inspect.iscoroutinefunction(AIOKafkaConsumer.end_offsets)


def test_only_tables_that_the_manager_knows_are_recovered_and_have_their_changelogs_read() -> None:
    assert "self.tables.add(" in inspect.getsource(faust.App.Table)
    assert "if not self.tables or" in inspect.getsource(Recovery)
    assert "table.changelog_topic" in inspect.getsource(TableManager._update_channels)


def test_a_table_meets_its_changelog_only_in_the_methods_that_the_figures_replace() -> None:
    assert "self.send_changelog(" in inspect.getsource(faust.Table.on_key_set)
    assert "self.send_changelog(" in inspect.getsource(faust.Table.on_key_del)
    assert "self.changelog_topic.maybe_declare()" in inspect.getsource(Collection.on_start)
    window = inspect.getsource(Collection._apply_window_op)
    assert "set_((key, window_range), op(get_((key, window_range)), value))" in window


def test_a_table_ends_windows_whose_time_to_live_it_was_told() -> None:
    assert "_, window_range = key" in inspect.getsource(Collection._maybe_set_key_ttl)
    assert "_, window_range = key" in inspect.getsource(Collection._maybe_del_key_ttl)
    assert "await self._del_old_keys()" in inspect.getsource(Collection)
    source = inspect.getsource(Collection._del_old_keys)
    assert "window.stale(timestamps[0], time.time())" in source
    assert "self.data.pop(key_to_remove, None)" in source


def test_a_service_that_is_an_instance_is_started_as_it_is() -> None:
    assert "return cast(ServiceT, service)" in inspect.getsource(faust.App._prepare_subservice)
