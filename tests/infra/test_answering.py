"""Whether a cluster answers, and what is said if not. Who is not let in: `tests/end_to_end/test_secured_cluster.py`."""

import pytest

from streams.kafka.answering import ClusterUnreachable, brokers
from streams.kafka.config import Kafka


def test_a_cluster_that_answers_has_brokers(cluster: Kafka) -> None:
    assert brokers(cluster) == 1
    one_name_is_wrong = Kafka(f"nowhere.invalid:1,{cluster.bootstrap_servers}")
    assert brokers(one_name_is_wrong) == 1


@pytest.mark.parametrize(
    ("bootstrap_servers", "told"),
    [("127.0.0.1:1", "Connection refused"), ("nowhere.invalid:1", "Failed to resolve 'nowhere.invalid:1'")],
)
def test_one_that_does_not_answer_is_told_with_the_reason(bootstrap_servers: str, told: str) -> None:
    with pytest.raises(ClusterUnreachable, match=told) as refused:
        brokers(Kafka(bootstrap_servers), timeout_s=1)
    assert f"no answer from Kafka at {bootstrap_servers}" in str(refused.value)
    assert "kafka.properties" in str(refused.value)
