"""The Kubernetes manifests: valid by their schemas, and true to the service and each other."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.telemetry.promql import parse
from system_under_test.metrics import Metrics
from system_under_test.settings import from_environment
from tests.support.go_modules import module_file

FOLDER = Path(__file__).parents[2] / "system_under_test" / "deploy" / "kubernetes"
VERSION = "1.37"
CRD = "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
Json = dict[str, Any]
jsonschema: Any = pytest.importorskip("jsonschema")
kubernetes_validate: Any = pytest.importorskip("kubernetes_validate")


def documents() -> dict[str, Json]:
    """Every manifest by its kind."""
    every = [
        each for path in FOLDER.glob("*.yaml") for each in yaml.safe_load_all(path.read_text())
    ]
    return {each["kind"]: each for each in every}


KINDS = documents()


def test_all_are_there() -> None:
    assert set(KINDS) == {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "ServiceMonitor",
        "ConfigMap",
    }


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"ServiceMonitor"}))
def test_it_is_what_kubernetes_takes(kind: str) -> None:
    kubernetes_validate.validate(KINDS[kind], VERSION, strict=True)


def test_the_validation_bites() -> None:
    wrong = {**KINDS["Service"], "spec": {**KINDS["Service"]["spec"], "port": 80}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_the_monitor_is_what_its_definition_takes() -> None:
    path = module_file("github.com/prometheus-operator/prometheus-operator", CRD)
    if path is None:
        pytest.skip("the definition of ServiceMonitor cannot be had here (a Go module)")
    (version,) = yaml.safe_load(path.read_text())["spec"]["versions"]
    schema = _closed(version["schema"]["openAPIV3Schema"])
    monitor = KINDS["ServiceMonitor"]
    jsonschema.validate(monitor, schema)
    for wrong in (
        {**monitor, "spec": {**monitor["spec"], "endpoint": []}},
        {**monitor, "spec": {**monitor["spec"], "endpoints": [{"interval": "soon"}]}},
        {**monitor, "spec": {"endpoints": []}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def _closed(schema: Any) -> Any:
    """The schema with no other keys than it names, as the API server prunes them."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed


def container() -> Json:
    (only,) = KINDS["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only  # type: ignore[no-any-return]


def test_the_service_starts_with_the_environment_that_it_is_given() -> None:
    given = {each["name"]: each.get("value", "x") for each in container()["env"]}
    settings = from_environment(given)
    ports = {each["name"]: each["containerPort"] for each in container()["ports"]}
    assert (settings.host, ports) == (
        "0.0.0.0",
        {"http": settings.port, "admin": settings.admin_port},
    )


def test_selectors_and_ports_lead_to_each_other() -> None:
    labels = KINDS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    service, monitor = KINDS["Service"], KINDS["ServiceMonitor"]
    assert KINDS["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    named = {each["name"]: each["targetPort"] for each in service["spec"]["ports"]}
    inside = {each["name"] for each in container()["ports"]}
    assert set(named.values()) <= inside
    assert {each["port"] for each in monitor["spec"]["endpoints"]} <= set(named)
    for probe in ("readinessProbe", "livenessProbe"):
        assert container()[probe]["httpGet"]["port"] in inside


def test_the_autoscaler_scales_the_deployment_on_a_metric_that_the_adapter_makes() -> None:
    spec = KINDS["HorizontalPodAutoscaler"]["spec"]
    target, deployment = spec["scaleTargetRef"], KINDS["Deployment"]
    assert (target["apiVersion"], target["kind"], target["name"]) == (
        deployment["apiVersion"],
        deployment["kind"],
        deployment["metadata"]["name"],
    )
    assert "replicas" not in deployment["spec"]
    assert "cpu" in container()["resources"]["requests"]  # or there is no utilization
    wanted = {each["pods"]["metric"]["name"] for each in spec["metrics"] if each["type"] == "Pods"}
    (rule,) = yaml.safe_load(KINDS["ConfigMap"]["data"]["config.yaml"])["rules"]
    assert wanted == {rule["name"]["as"]}
    series = re.match(r"\w+", rule["seriesQuery"])
    assert series is not None
    filled = rule["metricsQuery"].replace("<<.Series>>", series[0])
    filled = filled.replace("<<.LabelMatchers>>", 'pod="a"').replace("<<.GroupBy>>", "pod")
    assert parse(filled).metric_names() == {series[0]}
    families = Metrics().registry.collect()
    assert series[0] in {sample.name for family in families for sample in family.samples}
