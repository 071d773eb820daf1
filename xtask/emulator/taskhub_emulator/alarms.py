"""Alarms on expressions, which stacks of ministack refuse, and two alarms of one name, which they take."""

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from taskhub_emulator import stacks


def install():
    provisioners._cw_metric_alarm_record = _record(provisioners._cw_metric_alarm_record)
    former = stacks.handlers("AWS::CloudWatch::Alarm")

    def create(logical, properties, stack):
        if properties.get("AlarmName") in cloudwatch._alarms:
            raise ValueError(f"{properties['AlarmName']} already exists")
        return former["create"](logical, properties, stack)

    def update(name, old, new, stack):
        return former["update"](name, old, new, stack, None)

    stacks.replace("AWS::CloudWatch::Alarm", create, update)


def _record(former):
    def record(name, properties):
        metrics = properties.get("Metrics")
        if not metrics:
            return former(name, properties)
        # It is kept under a metric that nobody sends; an expression is not reckoned.
        stand_in = {"MetricName": "expression", "Namespace": "emulator", "Statistic": "Average"}
        return {**former(name, {**properties, **stand_in, "Metrics": None}), "Metrics": metrics}

    return record
