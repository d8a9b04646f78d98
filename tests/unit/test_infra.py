"""What is in infra/ agrees with the program, and with the schemas of those who will read it."""

from __future__ import annotations

import base64
import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from copypro.adapters.metrics import Metrics
from copypro.callbacks import is_public
from copypro.observing import Ownership
from copypro.settings import Settings
from copypro.topics import ROLES
from copypro_standalone.cli import app
from cryptography.fernet import Fernet
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command

from tests import image

INFRA = image.ROOT / "infra"
PROMETHEUS = INFRA / "prometheus"
KUBERNETES = "1.30"
COMPOSE_FILES = ("docker-compose.yml", "docker-compose.bridges.yml")
SETTINGS = {str(field.alias) for field in Settings.model_fields.values()}
SECRETS = {str(field.alias) for field in Settings.model_fields.values() if not field.repr}
OURS = ("gateway", "account-watcher", "replicator", "stats")


# --- metrics -----------------------------------------------------------------------------------


@functools.cache
def exported() -> set[str]:
    """Every series name that a process may show."""
    metrics = Metrics(CollectorRegistry())
    ownership = Ownership(metrics, lambda: 0.0)
    metrics.watch(ownership, list, lambda: {"connected": 1}, lambda: 0)
    names: set[str] = set()
    for family in text_string_to_metric_families(metrics.page().decode()):
        names.add(family.name)
        match family.type:
            case "counter":
                names.add(f"{family.name}_total")
            case "histogram":
                names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return names


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def dashboard_expressions() -> Iterator[str]:
    board = json.loads((INFRA / "grafana" / "dashboard.json").read_text())
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (note["expr"] for note in board["annotations"]["list"])


def named_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:copypro|process)_\w+", expression))


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    there = exported()
    expressions = [*(rule["expr"] for rule in rules()), *dashboard_expressions()]
    assert len(expressions) > 30
    for expression in expressions:
        assert named_in(expression) or "up{" in expression, expression
        assert named_in(expression) <= there, expression


def test_every_metric_of_ours_is_in_the_table_and_on_the_dashboard() -> None:
    page = (image.ROOT / "docs" / "operations.md").read_text()
    shown = " ".join(dashboard_expressions())
    for name in exported():
        family = re.sub(r"_(bucket|count|sum|created|total)$", "", name)
        if family.startswith("copypro_"):
            assert re.search(rf"^\| `{family}(_total)?` \|", page, re.M), name
            assert family in shown, name


def test_every_rule_is_explained() -> None:
    page = (image.ROOT / "docs" / "operations.md").read_text()
    explained = set(re.findall(r"^\| (CopyPro\w+) \|", page, re.M))
    assert explained == {rule["alert"] for rule in rules()}


def promtool(*arguments: str) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("no promtool here (Debian: apt-get install prometheus)")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_rules_and_scrape_configuration() -> None:
    promtool("check", "rules", str(PROMETHEUS / "alerts.yml"))
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_the_rules_do_what_they_say() -> None:
    promtool("test", "rules", str(PROMETHEUS / "alerts_test.yml"))


def test_promtool_accepts_what_the_dashboard_asks(tmp_path: Path) -> None:
    asked = [re.sub(r"\$__rate_interval", "1m", one) for one in dashboard_expressions()]
    recorded = [{"record": f"panel:{at}", "expr": one} for at, one in enumerate(asked)]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    promtool("check", "rules", str(file))


def test_the_dashboards_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((INFRA / "grafana" / "dashboard.json").read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


# --- compose -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_the_compose_files_follow_the_compose_specification(name: str) -> None:
    schema = json.loads(
        (image.ROOT / "tests" / "data" / "compose" / "compose-spec.json").read_text()
    )
    given = image.filled_in(image.compose_file(name), image.new_env())
    jsonschema.Draft7Validator(schema).validate(given)


def test_the_file_of_secrets_is_for_its_owner_alone(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    with env.open("w") as out:
        subprocess.run(["sh", str(image.ROOT / "infra" / "new-env.sh")], stdout=out, check=True)
    assert env.stat().st_mode & 0o777 == 0o600
    assert "COPYPRO_SECRET_KEYS=" in env.read_text()


@pytest.mark.parametrize("kind", ["", "demo"])
def test_a_new_env_fills_in_all_that_must_be_set_with_secrets_that_work(kind: str) -> None:
    variables = image.new_env(*kind.split())
    given = image.filled_in(image.compose_file(), variables)
    assert given["services"]["gateway"]["environment"]["COPYPRO_REQUIRE_KEY"] == "1"
    Fernet(variables["COPYPRO_SECRET_KEYS"])
    assert len(base64.urlsafe_b64decode(variables["KAFKA_CLUSTER_ID"] + "==")) == 16
    other = image.new_env(*kind.split())
    secrets = [name for name in variables if re.search("KEY|PASSWORD|CLUSTER", name)]
    assert len(secrets) == 7
    assert all(variables[name] and variables[name] != other[name] for name in secrets)


def test_without_an_env_file_nothing_starts() -> None:
    with pytest.raises(KeyError, match=r"infra/new-env\.sh"):
        image.filled_in(image.compose_file(), {})


def test_the_demos_env_says_simulated_to_every_service() -> None:
    services = image.filled_in(image.compose_file(), image.new_env("demo"))["services"]
    for name in OURS:
        assert services[name]["environment"]["COPYPRO_SIMULATED"] == "1"
    real = image.filled_in(image.compose_file(), image.new_env())["services"]
    assert not any(real[name]["environment"]["COPYPRO_SIMULATED"] for name in OURS)


def test_bridges_share_a_network_with_account_watchers_alone_and_are_not_published() -> None:
    services = image.compose_file()["services"]
    original = image.compose_file("docker-compose.bridges.yml")["services"]
    bridges = {name: one for name, one in original.items() if re.match(r"mt\drest|loginid", name)}
    assert len(bridges) == 4
    for one in bridges.values():
        assert "ports" not in one
        assert not set(one["networks"]) & {"data", "api", "outside"}
    near = {
        name
        for name, one in services.items()
        for bridge in bridges.values()
        if set(one.get("networks", ())) & set(bridge["networks"])
    }
    assert near == {"account-watcher", "simulator"}
    assert image.compose_file()["networks"]["bridges"] == {"internal": True}
    assert image.compose_file()["networks"]["data"] == {"internal": True}


def test_the_compose_file_gives_every_setting_that_is_not_its_own_matter() -> None:
    variables = image.new_env() | {name: f"given {name}" for name in SETTINGS}
    services = image.filled_in(image.compose_file(), variables)["services"]
    given = {name for one in OURS for name in services[one]["environment"]}
    of_the_image = image.environment_of(image.stages()[1]).keys()
    inside = {name for name in SETTINGS if re.match("KAFKA_S|COPYPRO_(GATEWAY|SERVICE)_PORT", name)}
    for_topics = {"COPYPRO_PARTITIONS", "COPYPRO_REPLICATION"}
    assert given == SETTINGS - of_the_image - inside - for_topics
    of_the_file = {"MongoDB", "KAFKA_BOOTSTRAP_SERVERS"}
    for one in OURS:
        for name, value in services[one]["environment"].items():
            assert (value == variables[name]) is (name not in of_the_file), name


def test_only_the_gateway_is_published_and_on_this_machine_alone() -> None:
    services = image.filled_in(image.compose_file(), image.new_env())["services"]
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published.keys() == {"gateway", "simulator", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_kafka_is_the_version_that_the_tests_run() -> None:
    pom = (INFRA / "local" / "pom.xml").read_text()
    (tested,) = re.findall(r"<kafka.version>(.*)<", pom)
    assert image.compose_file()["services"]["kafka"]["image"] == f"apache/kafka:{tested}"


def test_docker_compose_reads_both_files(tmp_path: Path) -> None:
    tool = compose_command()
    file = tmp_path / ".env"
    file.write_text("".join(f"{k}={v}\n" for k, v in image.new_env().items()))
    files = [word for name in COMPOSE_FILES for word in ("-f", str(image.ROOT / name))]
    command = [*tool, "--env-file", str(file), *files, "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def compose_command() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        said = subprocess.run([*command, "version"], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            return command
    pytest.skip("no docker compose here (Debian: apt-get install docker-compose)")


# --- Kubernetes --------------------------------------------------------------------------------


@functools.cache
def manifests() -> list[dict[str, Any]]:
    """Every document, before kustomize puts them together."""
    files = sorted((INFRA / "kubernetes").rglob("*.yaml"))
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in manifests() if one["kind"] == kind}


def test_the_manifests_follow_kubernetes_schemas() -> None:
    checked = 0
    for one in manifests():
        if one["apiVersion"].startswith(("kustomize.config.k8s.io/", "keda.sh/")):
            continue
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
        checked += 1
    assert checked > 30


def test_kustomize_puts_them_together_and_leaves_the_numbers_to_keda() -> None:
    tool = shutil.which("kubectl")
    if tool is None:
        pytest.skip("no kubectl here, which has kustomize")
    command = [tool, "kustomize", str(INFRA / "kubernetes")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] == "Deployment"]
    scaled = {name for name, one in of_kind("ScaledObject").items() if one}
    numbers = {one["metadata"]["name"]: one["spec"].get("replicas") for one in made}
    assert {name for name, number in numbers.items() if number is None} == scaled
    assert all(one["metadata"]["namespace"] == "copypro" for one in made)


def our_deployments() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(name, pod, its container)."""
    deployments = of_kind("Deployment")
    for name in OURS:
        pod = deployments[name]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield name, pod, container


def test_our_pods_run_their_service_restricted_probed_and_with_time_to_end() -> None:
    for name, pod, container in our_deployments():
        assert container["args"] == ["copypro", name]
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        assert pod["terminationGracePeriodSeconds"] > 10
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        budget = of_kind("PodDisruptionBudget")[name]["spec"]
        assert budget["selector"] == of_kind("Deployment")[name]["spec"]["selector"]
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(OURS) <= commands.keys()


def test_kubernetes_gives_settings_that_exist_and_asks_for_keys() -> None:
    config = of_kind("ConfigMap")["copypro"]["data"]
    secret = of_kind("Secret")["copypro"]["stringData"]
    assert config.keys() | secret.keys() <= SETTINGS
    assert config["COPYPRO_REQUIRE_KEY"] == "1"
    for _, _, container in our_deployments():
        for one in container["env"]:
            assert one["name"] == one["valueFrom"]["secretKeyRef"]["key"]
            assert one["name"] in secret


def test_kubernetes_keeps_secrets_in_the_secret_and_knows_its_proxy() -> None:
    config = of_kind("ConfigMap")["copypro"]["data"]
    secret = of_kind("Secret")["copypro"]["stringData"]
    assert {"COPYPRO_MAIL", "COPYPRO_SECRET_KEYS", "MongoDB"} <= SECRETS
    assert secret.keys() >= SECRETS
    reached = {one["name"] for _, _, container in our_deployments() for one in container["env"]}
    assert reached == secret.keys()
    assert not SECRETS & config.keys()
    assert Settings.model_validate(config).trusted_proxies


def test_each_role_scales_on_the_lag_of_its_group_and_never_past_its_partitions() -> None:
    scaled = of_kind("ScaledObject")
    config = of_kind("ConfigMap")["copypro"]["data"]
    assert scaled.keys() == {role.name for role in ROLES}
    for name, one in scaled.items():
        kafka = one["spec"]["triggers"][0]
        assert (kafka["type"], kafka["metadata"]["consumerGroup"]) == ("kafka", name)
        assert kafka["metadata"]["bootstrapServers"] == config["KAFKA_BOOTSTRAP_SERVERS"]
        assert str(one["spec"]["maxReplicaCount"]) == config["COPYPRO_PARTITIONS"]
        assert one["spec"]["minReplicaCount"] >= 2


def test_bridges_can_be_reached_by_account_watchers_alone() -> None:
    policies = of_kind("NetworkPolicy")
    assert policies["nothing-else"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    bridge = {"matchLabels": {"app.kubernetes.io/component": "bridge"}}
    reaching = [
        source["podSelector"]["matchLabels"]
        for one in policies.values()
        if one["spec"]["podSelector"] == bridge
        for rule in one["spec"].get("ingress", ())
        for source in rule["from"]
    ]
    assert reaching == [{"app.kubernetes.io/name": "account-watcher"}]


def reaches(policy: str, address: str) -> bool:
    """Whether the policy lets its pods call this address, on the ports that it names."""
    ip = ip_address(address)
    blocks = [
        place["ipBlock"]
        for rule in of_kind("NetworkPolicy")[policy]["spec"]["egress"]
        for place in rule["to"]
    ]
    return any(
        ip in ip_network(block["cidr"])
        and not any(ip in ip_network(but) for but in block.get("except", ()))
        for block in blocks
    )


@pytest.mark.parametrize("policy", ["alerts", "letters"])
def test_what_users_may_name_is_called_at_public_addresses_alone(policy: str) -> None:
    for address in (
        "10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "127.0.0.1",
        "0.0.0.0", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "fe80::1",
        "fd12::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "2001:0:4136::1",
    ):  # fmt: skip
        assert not is_public(address)
        assert not reaches(policy, address), address
    for address in ("93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1"):
        assert is_public(address)
        assert reaches(policy, address), address


def test_letters_can_be_sent_from_the_cluster_as_the_settings_say() -> None:
    (rule,) = of_kind("NetworkPolicy")["letters"]["spec"]["egress"]
    assert {one["port"] for one in rule["ports"]} == {465, 587}
    selected = of_kind("NetworkPolicy")["letters"]["spec"]["podSelector"]["matchLabels"]
    assert selected == {"app.kubernetes.io/name": "gateway"}


# --- the image ---------------------------------------------------------------------------------


def test_the_image_runs_as_nobody_and_takes_only_locked_wheels() -> None:
    build, final = image.stages()
    installs = [
        text for name, text in build if name == "RUN" and "install --require-hashes" in text
    ]
    assert installs
    for text in installs:
        assert text.count("install --require-hashes --only-binary :all:") == text.count(
            "install --r"
        )
    assert ("USER", "10001:10001") in final
    assert [name for name, _ in final].count("HEALTHCHECK") == 1
    assert image.environment_of(final).keys() - SETTINGS == {
        "PATH",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
    }


def test_what_the_image_takes_is_what_dockerignore_lets_in() -> None:
    lines = (image.ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    taken = {
        name
        for stage in image.stages()
        for kind, text in stage
        if kind == "COPY" and not text.startswith("--from")
        for name in text.split()[:-1]
    }
    assert taken == allowed
    assert "*" in lines
    assert all((image.ROOT / name).exists() for name in taken)
