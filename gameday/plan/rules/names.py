"""Rules about names: what an experiment, its playbook and the system call each other by."""

from collections.abc import Sequence

from gameday.core.errors import FileError
from gameday.plan.rules.audit import ROWS, tells_stock
from gameday.spec.audit import AuditStore
from gameday.spec.experiment import ISSUANCE
from gameday.spec.faults import Spike
from gameday.spec.faults.command import CommandRunFault
from gameday.spec.faults.network import NetworkFault
from gameday.spec.faults.postgres import PostgresFault
from gameday.spec.faults.redis import RedisFault
from gameday.spec.faults.service import PARTS, ServiceFault
from gameday.spec.inputs import FileWarning, Findings, Inputs, LoadedPlaybook, LoadedSystem
from gameday.spec.playbook import StepBlock
from gameday.spec.yaml import Document, one_of_them
from gameday.telemetry.sources.choice import prometheus_of

_NOTHING_CHECKED = (
    "no `audit`: nothing about issuance will be checked, not how many are issued, nor to whom"
)


def of_experiment(inputs: Inputs) -> Findings:
    """Everything about the names in an experiment."""
    yield from _inside_experiment(inputs)
    yield from _against_system(inputs)
    yield from _alerts_have_rules(inputs)
    yield from _playbook_answers(inputs)
    yield from _rules_are_read_whole(inputs)  # last: thousands of them hide no error


def _inside_experiment(inputs: Inputs) -> Findings:
    """Ids and names are unique, and `of:` names one."""
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    if experiment.name != inputs.experiment.path.stem:
        text = f"'name': {experiment.name!r} is not the name of the file"
        yield FileWarning(document.place("name"), text)
    ids = [str(fault.id) for fault in experiment.method]
    yield from _unique(document, ("method", "id"), ids)
    names = [objective.name for objective in experiment.objectives]
    yield from _unique(document, ("objectives", "name"), names)
    for index, fault in enumerate(experiment.method):
        if isinstance(fault, Spike) and ids[index] in experiment.traffic:
            problem = f"'id': {ids[index]!r} is a scenario of 'traffic' already"
            yield document.error(("method", index, "id"), problem)
    expect = experiment.expect
    yield from _unique(
        document, ("expect", "reactions", "name"), [e.name for e in expect.reactions]
    )
    yield from _unique(document, ("expect", "logs", "name"), [e.name for e in expect.logs])
    named = {"alerts": [e.of for e in expect.alerts], "reactions": [e.of for e in expect.reactions]}
    named["logs"] = [e.of for e in expect.logs]
    for key, several in named.items():
        for index, of in enumerate(several):
            if of is not None and of not in ids:
                problem, help = f"'of': no fault has the id {of!r}", one_of_them(of, ids)
                yield document.error(("expect", key, index, "of"), problem, help=help)
    if experiment.autoscaling and inputs.system.system.autoscaler is None:
        problem = "'autoscaling': the system names no `autoscaler`"
        yield document.error(("autoscaling",), problem, help="add it to the system file")


def _unique(document: Document, where: tuple[str, ...], names: list[str]) -> Findings:
    *path, key = where
    for index, name in enumerate(names):
        if name in names[:index]:
            yield document.error((*path, index, key), f"{key!r}: {name!r} is there twice")


def _against_system(inputs: Inputs) -> Findings:
    """Targets are services behind a proxy; what is checked of issuance is possible."""
    yield from _issuance(inputs)
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    proxies = inputs.system.system.proxies
    for index, fault in enumerate(experiment.method):
        if isinstance(fault, NetworkFault) and fault.target not in proxies:
            problem = f"'target': {fault.target!r} is not a service under 'proxies' of the system"
            help = one_of_them(fault.target, proxies)
            yield document.error(("method", index, "target"), problem, help=help)
        if isinstance(fault, ServiceFault) and fault.target not in (*PARTS, *proxies):
            problem = (
                f"'target': unknown value {fault.target!r}: nothing of the system has that name"
            )
            help = one_of_them(fault.target, dict.fromkeys((*PARTS, *proxies)))
            yield document.error(("method", index, "target"), problem, help=help)
        if (
            isinstance(fault, CommandRunFault)
            and fault.command not in inputs.system.system.commands
        ):
            named = inputs.system.system.commands
            file = inputs.system.document.file
            problem = f"'command': {fault.command!r} is not under 'commands' of the system"
            help = one_of_them(fault.command, named) or f"name it in {file}: docs/own-faults.md"
            yield document.error(("method", index, "command"), problem, help=help)
        yield from _store_is_named(inputs, index)


def _issuance(inputs: Inputs) -> Findings:
    """A system with an audit needs to be told which coupon, and how many where it makes them.

    One without needs neither, and no check can be asked for that only an audit can answer.
    """
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    system, campaign = inputs.system.system, experiment.campaign
    told = campaign.model_fields_set  # what the system makes up needs no code of ours
    if system.issues and "coupon" not in told and system.captures is None:
        problem = "'campaign': 'coupon' is missing: the system has an `audit`, which is asked by it"
        yield document.error(("campaign",), problem, help="campaign: {coupon: CODE}")
    if system.issues and system.campaign is not None and campaign.stock is None:
        problem = "'campaign': 'stock' is missing: the system creates a campaign for each run"
        yield document.error(("campaign",), problem)
    elif system.issues and campaign.stock is None and not tells_stock(system):
        problem = "'campaign': 'stock' is missing: the audit does not tell how many there are"
        help = "campaign: {stock: 100}, or say in the system file where the audit has its `stock`"
        yield document.error(("campaign",), problem, help=help)
    named = experiment.expect.checks
    for index, name in enumerate(() if system.issues or named == "all" else named):
        if name in ISSUANCE:
            problem = f"'checks': {name!r} needs an `audit`, which the system does not name"
            help = f"add it to {inputs.system.document.file}, or do not name the check"
            yield document.error(("expect", "checks", index), problem, help=help)


def _store_is_named(inputs: Inputs, index: int) -> Findings:
    """A fault of a store itself needs its address."""
    fault, stores = inputs.experiment.experiment.method[index], inputs.system.system.stores
    lacks = {
        "redis.url": isinstance(fault, RedisFault) and stores.redis is None,
        "postgres.dsn": isinstance(fault, PostgresFault) and stores.postgres is None,
    }
    for key in (key for key, lacking in lacks.items() if lacking):
        problem = f"'fault': {fault.fault!r} needs 'stores.{key}', which the system does not name"
        help = "past the proxies, as {env: NAME} or {file: PATH}"
        yield inputs.experiment.document.error(("method", index, "fault"), problem, help=help)


def _alerts_have_rules(inputs: Inputs) -> Findings:
    """An alert that is expected, allowed or answered is one that some rule raises.

    Prometheus has rules of its own: which, it is asked once it is there.
    """
    experiment, system = inputs.experiment.experiment, inputs.system.system
    if not inputs.rules and prometheus_of(experiment, system) is not None:
        return
    from gameday.telemetry.alerts.rules import load_rules

    document = inputs.experiment.document
    files = [load_rules(path) for path in inputs.rules]
    known = {rule.alert for file in files for rule in file.alerts}
    for index, alert in enumerate(experiment.expect.alerts):
        if alert.alert not in known:
            yield _no_rule(document, ("expect", "alerts", index, "alert"), alert.alert, known)
    others = experiment.expect.other_alerts
    for index, name in enumerate(others if isinstance(others, list) else ()):
        if name not in known:
            yield _no_rule(document, ("expect", "other_alerts", index), name, known)
    if inputs.playbook is not None and files:
        yield from _answered_alerts(inputs, known)


def _rules_are_read_whole(inputs: Inputs) -> Findings:
    """Warnings of what in a rule file is not read, or not shown, as Prometheus would."""
    if inputs.rules:
        from gameday.telemetry.alerts.rules import load_rules

        yield from (each for path in inputs.rules for each in load_rules(path).warnings)


def _answered_alerts(inputs: Inputs, known: set[str]) -> Findings:
    """An experiment with rules of its own may have fewer than the playbook answers."""
    playbook, own_rules = inputs.playbook, inputs.experiment.experiment.rules is not None
    if playbook is None:
        return
    for index, name in enumerate(playbook.playbook.head.alerts):
        if name not in known and not own_rules:
            yield _no_rule(playbook.front, ("alerts", index), name, known)


def _no_rule(
    document: Document, at: tuple[str | int, ...], name: str, known: set[str]
) -> FileError:
    key = next(key for key in reversed(at) if isinstance(key, str))
    return document.error(at, f"{key!r}: no rule raises {name!r}", help=one_of_them(name, known))


def of_system(loaded: LoadedSystem) -> Findings:
    """No action is a request and a number of replicas both; bounds are in their order."""
    if loaded.system.issues:
        yield from _stores_are_whole(loaded)
    else:
        yield FileWarning(loaded.document.place(), _NOTHING_CHECKED)
        yield from _issues_all_the_same(loaded)
    scaler = loaded.system.autoscaler
    if scaler is not None and scaler.least > scaler.most:
        problem = f"'least': {scaler.least} is more than 'most', {scaler.most}"
        yield loaded.document.error(("autoscaler", "least"), problem)
    for name in sorted(loaded.system.actions.keys() & loaded.system.scale.keys()):
        yield loaded.document.error(("scale", name), f"'scale': {name!r} is an action already")


def _issues_all_the_same(loaded: LoadedSystem) -> Findings:
    """A system that says it issues must say how its audit is read, or nobody would look."""
    outcomes = ("requests", "issue", "outcomes", "issued")
    cure = "add `audit`; the answers of a system that issues nothing are `accepted`"
    if "issued" in loaded.system.requests.issue.tells:
        problem = "'issued': coupons are issued, and the system has no `audit`"
        yield loaded.document.error(outcomes, problem, help=cure)
    if loaded.system.campaign is not None:
        problem = "'campaign': it is created for each run, and the system has no `audit`"
        yield loaded.document.error(("campaign",), problem, help=cure)


def _stores_are_whole(loaded: LoadedSystem) -> Findings:
    """The audit reads every store that is named, and needs to know where in it."""
    stores = loaded.system.stores
    alone = loaded.system.audit.store if isinstance(loaded.system.audit, AuditStore) else None
    if alone is not None:
        return  # only that one is needed, and `rules.audit` looks at it
    if stores.mysql is not None and stores.mysql.rows is None and stores.postgres is None:
        problem = "'rows' is missing in 'mysql': the audit reads it there"
        yield loaded.document.error(("stores", "mysql"), problem, help=ROWS["rows"])
    if stores.postgres is not None and stores.postgres.rows is None:
        problem = "'rows' is missing in 'postgres': the audit reads it there"
        yield loaded.document.error(("stores", "postgres"), problem, help=ROWS["rows"])
    if stores.redis is not None and stores.redis.remaining is None and stores.redis.holders is None:
        problem = "'remaining' is missing in 'redis': the audit reads it there"
        yield loaded.document.error(
            ("stores", "redis"), problem, help="name `remaining`, `holders`, or both"
        )


def _playbook_answers(inputs: Inputs) -> Findings:
    """One of the alerts that start the playbook is expected, or it would never start."""
    if inputs.playbook is None:
        return
    head = inputs.playbook.playbook.head
    expected = [alert.alert for alert in inputs.experiment.experiment.expect.alerts]
    if expected and not set(expected) & set(head.alerts):
        text = f"'playbook': {head.name!r} answers none of the expected alerts: it never starts"
        yield FileWarning(inputs.experiment.document.place("playbook"), text)


def of_playbook(loaded: LoadedPlaybook, system: LoadedSystem) -> Findings:
    """Steps name actions of the system, and each has a condition that shows that it worked."""
    known = [*system.system.actions, *system.system.scale]
    for step in loaded.playbook.steps:
        yield from _step(step.block, loaded.blocks[step.number], known)
    for index, action in enumerate(loaded.playbook.head.do_not):
        yield from _do_not(action, loaded, index, known)
    name = loaded.playbook.head.name
    if name != loaded.path.stem:
        yield FileWarning(loaded.front.place("name"), f"'name': {name!r} is not the file's name")
    if not loaded.playbook.steps:
        yield FileWarning(loaded.front.place(), "no step for gameday to do or verify")


def _do_not(action: str, loaded: LoadedPlaybook, index: int, known: Sequence[str]) -> Findings:
    """What is warned of is an action of the system, and none of the playbook's own."""
    place = ("do_not", index)
    if action not in known:
        problem = f"'do_not': {action!r} is not an action of the system"
        yield loaded.front.error(place, problem, help=one_of_them(action, known))
    if any(action == step.block.do for step in loaded.playbook.steps):
        yield loaded.front.error(place, f"'do_not': {action!r} is what a step of it does")


def _step(block: StepBlock, document: Document, actions: Sequence[str]) -> Findings:
    for key, action in (("do", block.do), ("undo", block.undo)):
        if action is not None and action not in actions:
            problem = f"{key!r}: {action!r} is not an action of the system"
            yield document.error((key,), problem, help=one_of_them(action, actions))
    if block.undo is not None and block.do is None:
        yield document.error(("undo",), "'undo': there is no 'do' to take back")
    if block.do is not None and block.after is None:
        text = "'do': without 'after' nothing shows that the step worked"
        yield FileWarning(document.place("do"), text)
