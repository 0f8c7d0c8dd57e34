"""Files of a megabyte, each of which asks for more than its share of time in its own way."""

from collections.abc import Callable
from pathlib import Path

SIZE = 990_000
"""A little less than the largest file that is read."""

Maker = Callable[[Path], Path]
EXPERIMENT = """\
name: x
campaign: {coupon: C, stock: 10, users: 100000}
traffic:
  drop: {executor: constant-arrival-rate, rate: 100/s, duration: 60s}
"""
SYSTEM = """\
name: x
base_url: http://127.0.0.1:1
requests:
  issue: {post: /, json: {a: "{user}"}, outcomes: {issued: {status: 200}}}
audit: {get: /}
"""
PLAYBOOK = "---\nname: x\nalerts: [IssuanceSlow]\n---\n"
RULES = "groups:\n- name: g\n  rules:\n"
CASES: dict[str, tuple[str, Maker]] = {}


def _case(name: str, kind: str, text: Callable[[], str]) -> None:
    def make(folder: Path) -> Path:
        content = text()
        if kind == "rules":
            (folder / "r.yml").write_text(content, "utf-8", "surrogatepass")
            content = EXPERIMENT + "rules: [r.yml]\n"
        path = folder / ("x.md" if kind == "playbook" else "x.yaml")
        path.write_text(content, "utf-8", "surrogatepass")
        return path

    CASES[f"{kind}-{name}"] = (kind, make)


def many(line: str, size: int = SIZE) -> str:
    """As many of a line, numbered where it says so, as fit."""
    found, length = [], 0
    for n in range(size):
        one = line.replace("#", str(n))
        length += len(one)
        if length > size:
            break
        found.append(one)
    return "".join(found)


def some(line: str, count: int) -> str:
    return "".join(line.replace("#", str(n)) for n in range(count))


ALONE: dict[str, Callable[[], str]] = {
    "one-line": lambda: "x" * SIZE,
    "one-key": lambda: "a: " + "x" * SIZE + "\n",
    "long-key": lambda: "x" * SIZE + ": 1\n",
    "spaces": lambda: " " * SIZE,
    "newlines": lambda: "\n" * SIZE,
    "tabs": lambda: "\t" * SIZE,
    "hashes": lambda: "#" * SIZE,
    "comments": lambda: many("# c\n"),
    "brackets": lambda: "[" * SIZE,
    "braces": lambda: "{" * SIZE,
    "nested-49": lambda: many("- " + "[" * 48 + "]" * 48 + "\n"),
    "dashes": lambda: "- " * (SIZE // 2),
    "question-marks": lambda: "? " * (SIZE // 2),
    "colons": lambda: "a: " * (SIZE // 3),
    "quotes": lambda: '"' + "\\n" * (SIZE // 2) + '"',
    "open-quote": lambda: 'a: "' + "x " * (SIZE // 2),
    "open-quote-lines": lambda: 'a: "' + "x\n\n" * (SIZE // 3),
    "escapes": lambda: 'a: "' + "\\u0041" * (SIZE // 6) + '"',
    "block": lambda: "a: |\n" + many("  #\n"),
    "folded": lambda: "a: >\n" + many("  #\n\n"),
    "plain-lines": lambda: "a: x\n" + many("  y\n"),
    "keys": lambda: many("k#: 1\n"),
    "same-keys": lambda: many("k: 1\n"),
    "flow-keys": lambda: "{" + many("k#: 1,") + "}",
    "list": lambda: "a:\n" + many("- #\n"),
    "flow-list": lambda: "a: [" + many("#,") + "]",
    "anchors": lambda: many("k#: &a# 1\n"),
    "aliases": lambda: "a: &a 1\n" + many("k#: *a\n"),
    "alias-doubling": lambda: (
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    ),
    "merge": lambda: "a: &a {b: 1}\n" + many("k#: {<<: *a}\n"),
    "tags": lambda: many("- !!python/object:os.system x\n"),
    "directives": lambda: many("%YAML 1.1\n"),
    "documents": lambda: many("---\n"),
    "digits": lambda: "a: " + "9" * SIZE,
    "float": lambda: "a: 1." + "9" * SIZE,
    "exponent": lambda: "a: 1.0e" + "9" * SIZE,
    "date": lambda: "a: 2026-01-01" + "1" * SIZE,
    "surrogates": lambda: "a: " + "\ud800" * (SIZE // 3),
    "combining": lambda: "a: e" + "\u0301" * (SIZE // 2),
    "crlf": lambda: many("k#: 1\r\n"),
    "nel": lambda: "a: " + "\u0085" * (SIZE // 2),
}


def long(text: str, *, of: str = "x") -> Callable[[], str]:
    """The text, with a long one where it says @."""
    room = SIZE - len(text)
    return lambda: text.replace("@", of * (room // len(of.encode())), 1)


def within(base: str, key: str, value: str, of: str = "x") -> Callable[[], str]:
    return long(f"{base}{key}: {value.replace('@', chr(34) + '@' + chr(34))}\n", of=of)


BY_RATE = "executor: constant-arrival-rate, rate: 1/s, duration: 60s"
FAULT = "{fault: network.latency, target: redis, latency: 1ms, at: 15s, duration: 1s}"
OF_EXPERIMENT: dict[str, Callable[[], str]] = {
    **{
        f"long-{key.replace('.', '-')}": long(text)
        for key, text in {
            "name": "name: @\n" + EXPERIMENT[8:],
            "title": EXPERIMENT + "title: @\n",
            "coupon": EXPERIMENT.replace("coupon: C", "coupon: @"),
            "executor": EXPERIMENT.replace("constant-arrival-rate", "@"),
            "rate": EXPERIMENT.replace("100/s", "@"),
            "duration": EXPERIMENT.replace("60s", "@"),
            "scenario": EXPERIMENT.replace("drop", "@"),
            "key": EXPERIMENT + "@: 1\n",
            "scenario-key": EXPERIMENT.replace("60s", "60s, @: 1"),
            "fault": EXPERIMENT + "method: [{fault: @, at: 5s, duration: 1s}]\n",
            "target": EXPERIMENT + "method: [" + FAULT.replace("redis", "@") + "]\n",
            "id": EXPERIMENT + "method: [" + FAULT.replace("{fault", "{id: @, fault") + "]\n",
            "alert": EXPERIMENT
            + f"method: [{FAULT}]\nexpect: {{alerts: [{{alert: @, fires_within: 1s}}]}}\n",
            "of": EXPERIMENT
            + f"method: [{FAULT}]\nexpect: {{alerts: [{{alert: A, of: @, fires_within: 1s}}]}}\n",
            "other": EXPERIMENT + "expect: {other_alerts: [@]}\n",
            "check": EXPERIMENT + "expect: {checks: [@]}\n",
            "metric": EXPERIMENT + "expect: {thresholds: {@: ['p(95)<1']}}\n",
            "tag": EXPERIMENT + "expect: {thresholds: {'http_reqs{@:a}': ['count<1']}}\n",
            "scenario-tag": EXPERIMENT
            + "expect: {thresholds: {'http_reqs{scenario:@}': ['count<1']}}\n",
            "threshold": EXPERIMENT + "expect: {thresholds: {http_reqs: ['@']}}\n",
            "playbook": EXPERIMENT + "playbook: @\n",
            "rules": EXPERIMENT + "rules: ['@']\n",
            "expr": EXPERIMENT + "objectives: [{name: a, expr: @}]\n",
            "population": EXPERIMENT.replace("60s", "60s, population: @"),
            "short": EXPERIMENT + "short: {@: 1}\n",
        }.items()
    },
    "digits-rate": long(EXPERIMENT.replace("100/s", "@/s"), of="9"),
    "digits-duration": long(EXPERIMENT.replace("60s", "@s"), of="9"),
    "parts-duration": long(EXPERIMENT.replace("60s", "@"), of="1s"),
    "parts-duration-broken": long(EXPERIMENT.replace("60s", "@x"), of="1.1s"),
    "digits-users": long(EXPERIMENT.replace("100000", "@"), of="9"),
    "digits-threshold": long(
        EXPERIMENT + "expect: {thresholds: {http_reqs: ['count<@']}}\n", of="9"
    ),
    "digits-status": long(
        EXPERIMENT + "expect: {thresholds: {'http_reqs{status:@}': ['count<1']}}\n", of="9"
    ),
    "percentile": long(
        EXPERIMENT + "expect: {thresholds: {http_req_duration: ['p(@)<1']}}\n", of="9"
    ),
    "spaces-threshold": long(
        EXPERIMENT + "expect: {thresholds: {http_reqs: ['@count<1@']}}\n", of=" "
    ),
    "tags-threshold": long(
        EXPERIMENT + "expect: {thresholds: {'http_reqs{@}': ['count<1']}}\n", of="name:a,"
    ),
    "promql-brackets": long(EXPERIMENT + "objectives: [{name: a, expr: '@'}]\n", of="("),
    "promql-sum": long(EXPERIMENT + "objectives: [{name: a, expr: 'x@'}]\n", of="+x"),
    "promql-quotes": long(EXPERIMENT + "objectives: [{name: a, expr: 'x@'}]\n", of='"'),
    "many-subqueries": lambda: (
        EXPERIMENT
        + "objectives:\n"
        + some("- {name: n#, expr: 'max_over_time(x[3h:1s]) > #'}\n", 1900)
    ),
    "many-objectives": lambda: (
        EXPERIMENT + "objectives:\n" + some("- {name: n#, expr: x > #}\n", 1900)
    ),
    "long-objectives": lambda: (
        EXPERIMENT
        + "objectives:\n"
        + some("- {name: n#, expr: '" + "+".join(["rate(x[5s])"] * 40) + " > 1'}\n", 1800)
    ),
    "regex-objectives": lambda: (
        EXPERIMENT
        + "objectives:\n"
        + some("- {name: n#, expr: 'x{a=~\"" + "(a|b{9}){9}" * 300 + "#\"} > 1'}\n", 290)
    ),
    "same-objectives": lambda: (
        EXPERIMENT + "objectives:\n" + some("- {name: n, expr: x > #}\n", 1900)
    ),
    "bad-objectives": lambda: (
        EXPERIMENT + "objectives:\n" + some("- {name: n#, expr: k6_htp_reqs_total > #}\n", 1900)
    ),
    "bad-promql": lambda: EXPERIMENT + "objectives:\n" + some("- {name: n#, expr: 'x > '}\n", 1900),
    "many-guards": lambda: (
        EXPERIMENT + f"method:\n- {FAULT}\nabort_if:\n" + some("- {expr: x > #}\n", 3200)
    ),
    "many-thresholds": lambda: (
        EXPERIMENT
        + "expect:\n  thresholds:\n    http_req_duration:\n"
        + some("    - p(95)<#\n", 9900)
    ),
    "many-keys-thresholds": lambda: (
        EXPERIMENT
        + "expect:\n  thresholds:\n"
        + some("    'http_reqs{name:n#}': ['count>1']\n", 1900)
    ),
    "bad-keys-thresholds": lambda: (
        EXPERIMENT
        + "expect:\n  thresholds:\n"
        + some("    'http_reqs{scenario:n#}': ['count>1']\n", 1900)
    ),
    "bad-metrics-thresholds": lambda: (
        EXPERIMENT + "expect:\n  thresholds:\n" + some("    http_req_duratio#: ['count>1']\n", 1900)
    ),
    "many-scenarios": lambda: (
        EXPERIMENT
        + some("  d#: {executor: constant-arrival-rate, rate: 1/s, duration: 60s}\n", 1200)
    ),
    "many-populations": lambda: (
        EXPERIMENT.replace("stock: 10", "stock: 5000")
        + some(
            "  d#: {" + BY_RATE + ", population: {zipf: 1.#}}\n",
            850,
        )
    ),
    "bots": lambda: (
        EXPERIMENT.replace("stock: 10", "stock: 5000")
        + some(
            "  d#: {" + BY_RATE + ", population: {bots: #1, share: 0.5}}\n",
            700,
        )
    ),
    "many-stages": lambda: EXPERIMENT.replace(
        "{executor: constant-arrival-rate, rate: 100/s, duration: 60s}",
        "\n    executor: ramping-arrival-rate\n    population: once\n    stages:\n"
        + some("    - {target: #/s, duration: 1s}\n", 1900),
    ),
    "jagged-stages": lambda: EXPERIMENT.replace(
        "{executor: constant-arrival-rate, rate: 100/s, duration: 60s}",
        "\n    executor: ramping-arrival-rate\n    population: once\n    stages:\n"
        + some("    - {target: 0.00000#1/h, duration: 1.00#s}\n", 1900),
    ),
    "vu-stages": lambda: EXPERIMENT.replace(
        "{executor: constant-arrival-rate, rate: 100/s, duration: 60s}",
        "\n    executor: ramping-vus\n    stages:\n"
        + some("    - {target: 10000, duration: 1s}\n    - {target: 0, duration: 1s}\n", 990),
    ),
    "many-vus": lambda: (
        EXPERIMENT
        + some(
            "  d#:\n    executor: ramping-vus\n    stages: ["
            + "{target: 9000, duration: 1s}, {target: 0, duration: 1s}, " * 2
            + "]\n",
            370,
        )
    ),
    "many-faults": lambda: EXPERIMENT + "method:\n" + some("- " + FAULT + "\n", 850),
    "many-service-faults": lambda: (
        EXPERIMENT + "method:\n" + some("- {fault: service.kill, at: 5s, duration: 0.001s}\n", 1200)
    ),
    "spikes": lambda: (
        EXPERIMENT.replace("stock: 10", "stock: 5000")
        + "method:\n"
        + some("- {fault: traffic.spike, rate: 1/s, at: 5s, duration: 9s}\n", 1050)
    ),
    "unknown-targets": lambda: (
        EXPERIMENT + "method:\n" + some("- " + FAULT.replace("redis", "t#") + "\n", 850)
    ),
    "bad-faults": lambda: EXPERIMENT + "method:\n" + some("- {fault: network.latenc#}\n", 4000),
    "bad-ofs": lambda: (
        EXPERIMENT
        + "method:\n"
        + some("- " + FAULT + "\n", 700)
        + "expect:\n  alerts:\n"
        + some("  - {alert: RedisSlow, of: network-latncy-#, fires_within: 1s}\n", 250)
    ),
    "many-alerts": lambda: (
        EXPERIMENT
        + f"method:\n- {FAULT}\nexpect:\n  alerts:\n"
        + some("  - {alert: RedisSlo#, fires_within: 1s}\n", 3200)
    ),
    "others": lambda: EXPERIMENT + "expect:\n  other_alerts:\n" + some("  - RedisSlo#\n", 9800),
    "checks": lambda: EXPERIMENT + "expect:\n  checks:\n" + some("  - generato\n", 9800),
    "many-rules": lambda: EXPERIMENT + "rules:\n" + some("- r.yml\n", 9800),
    "bad-keys": lambda: EXPERIMENT + some("traffi#: 1\n", 3200),
    "bad-scenario-keys": lambda: (
        EXPERIMENT + some("  d#: {executor: constant-arrival-rate, rat: 1/s, duratio: 60s}\n", 1200)
    ),
    "bad-executors": lambda: EXPERIMENT + some("  d#: {executor: constant-arrival-rat#}\n", 1900),
    "bad-names": lambda: (
        EXPERIMENT
        + some("  D#: {executor: constant-arrival-rate, rate: 1/s, duration: 60s}\n", 1200)
    ),
    "short": lambda: EXPERIMENT + "short:\n" + some("  k#: 1\n", 3200),
    "retries": lambda: (
        EXPERIMENT
        + some(
            "  d#: {" + BY_RATE + ", retries: {at_most: 1}}\n",
            850,
        )
    ),
}
OF_SYSTEM: dict[str, Callable[[], str]] = {
    **{
        f"long-{key}": long(text)
        for key, text in {
            "base-url": SYSTEM.replace("http://127.0.0.1:1", "@"),
            "host": SYSTEM.replace("http://127.0.0.1:1", "http://@"),
            "port": SYSTEM.replace("http://127.0.0.1:1", "http://h:@"),
            "path": SYSTEM.replace("post: /", "post: /@"),
            "key": SYSTEM + "@: 1\n",
            "placeholder": SYSTEM.replace("{user}", "{@}"),
            "header": SYSTEM.replace("audit: {get: /}", "audit: {get: /, headers: {@: a}}"),
            "outcome": SYSTEM.replace("issued", "@"),
            "dsn": SYSTEM + "stores: {postgres: {dsn: {env: @}, rows: @}}\n",
            "drain": SYSTEM + "drain: {expr: @}\n",
            "secret": SYSTEM + "start: {argv: [x], env: {PASSWORD: @}}\n",
        }.items()
    },
    "address-colons": long(SYSTEM.replace("http://127.0.0.1:1", "http://@"), of=":"),
    "address-ats": long(SYSTEM.replace("http://127.0.0.1:1", "http://@"), of="a:b@"),
    "address-schemes": long(SYSTEM.replace("http://127.0.0.1:1", "@"), of="a"),
    "address-dots": long(SYSTEM.replace("http://127.0.0.1:1", "@"), of="a.b+c-"),
    "address-slashes": long(SYSTEM.replace("http://127.0.0.1:1", "@"), of="a://"),
    "address-brackets": long(SYSTEM.replace("http://127.0.0.1:1", "http://[@"), of="["),
    "text-letters": long(SYSTEM.replace("{user}", "@"), of="a"),
    "braces": long(SYSTEM.replace("{user}", "@"), of="{{"),
    "brace-opens": long(SYSTEM.replace("{user}", "@"), of="{"),
    "brace-closes": long(SYSTEM.replace("{user}", "@"), of="}"),
    "brace-odd": long(SYSTEM.replace("{user}", "{{{@"), of="{{"),
    "placeholders": long(SYSTEM.replace("{user}", "@"), of="{user}"),
    "bad-placeholders": long(SYSTEM.replace("{user}", "@"), of="{usr}"),
    "no-end": long(SYSTEM.replace("{user}", "@"), of="{ "),
    "many-metrics": lambda: SYSTEM + "metrics:\n" + many("- http://h#:1\n", 120_000),
    "bad-metrics": lambda: SYSTEM + "metrics:\n" + some("- h#\n", 9000),
    "many-actions": lambda: SYSTEM + "actions:\n" + some("  a#: {post: /#}\n", 3000),
    "deep-json": lambda: SYSTEM + "campaign: {post: /, json: " + "[" * 40 + "1" + "]" * 40 + "}\n",
    "many-json": lambda: (
        SYSTEM + "campaign:\n  post: /\n  json:\n" + some("    k#: '{usr}'\n", 3200)
    ),
    "many-headers": lambda: (
        SYSTEM + "campaign:\n  post: /\n  headers:\n" + some("    token#: 'a'\n", 3200)
    ),
    "many-dependencies": lambda: SYSTEM + "dependencies:\n" + some("  d#: rate(x[5s])\n", 3200),
    "long-dependencies": lambda: (
        SYSTEM + "dependencies:\n" + some("  d#: " + "+".join(["rate(x[5s])"] * 40) + "\n", 1900)
    ),
    "many-env": lambda: (
        SYSTEM + "start:\n  argv: [x]\n  env:\n" + some("    PASSWORD#: secret\n", 3200)
    ),
    "many-outcomes": lambda: SYSTEM.replace(
        "issued: {status: 200}", "issued: {status: [" + "200," * 9900 + "]}"
    ),
    "many-rules": lambda: SYSTEM + "rules:\n" + some("- r#.yml\n", 9800),
}
STEP = "   ```yaml step\n   do: use-postgres\n   after: x > 1\n   ```\n"
OF_PLAYBOOK: dict[str, Callable[[], str]] = {
    "fences": lambda: PLAYBOOK + many("```\n"),
    "open-fences": lambda: PLAYBOOK + many("``` a\n"),
    "open-fences-growing": lambda: PLAYBOOK + "".join("`" * n + " a\n" for n in range(1400, 3, -1)),
    "tilde-then-backquote": lambda: PLAYBOOK + many("~~~ a\n``` b\n"),
    "indented-fences": lambda: PLAYBOOK + many("   ``` a\n"),
    "long-fence": lambda: PLAYBOOK + "`" * SIZE,
    "long-info": lambda: PLAYBOOK + "```" + "a" * SIZE,
    "spaces-line": lambda: PLAYBOOK + " " * SIZE + "```",
    "yaml-info": lambda: PLAYBOOK + "```yaml" + " " * SIZE + "ste\n",
    "steps": lambda: PLAYBOOK + many("#. a\n" + STEP),
    "items": lambda: PLAYBOOK + many("1. a\n"),
    "item-text": lambda: PLAYBOOK + "1. a\n" + many("b\n"),
    "item-dots": lambda: PLAYBOOK + "1" * SIZE + ". a\n",
    "unclosed-front": lambda: "---\n" + many("a#: 1\n"),
    "long-front": lambda: "---\nname: x\nalerts: [" + "a," * 300_000 + "]\n---\n",
    "many-alerts": lambda: "---\nname: x\nalerts: [" + many("A#,", 80_000) + "]\n---\n",
    "step-expr": lambda: (
        PLAYBOOK + many("#. a\n" + STEP.replace("x > 1", "+".join(["rate(x[5s])"] * 40) + " > 1"))
    ),
    "bad-do": lambda: PLAYBOOK + many("#. a\n" + STEP.replace("use-postgres", "use-postgre")),
    "long-step": lambda: PLAYBOOK + "1. a\n\n" + STEP.replace("x > 1", "x" * SIZE),
    "dashes": lambda: PLAYBOOK + many("- \n"),
    "form-feeds": lambda: PLAYBOOK + "\x0c" * SIZE,
    "separators": lambda: PLAYBOOK + "\u2028" * (SIZE // 3),
    "only-front": lambda: "---\n" * (SIZE // 4),
    "numbers": lambda: PLAYBOOK + many("9999#. a\n\n" + STEP),
}
RULE = "  - {alert: A#, expr: x > 1}\n"
OF_RULES: dict[str, Callable[[], str]] = {
    "many": lambda: RULES + some(RULE, 1900),
    "thousand": lambda: RULES + some(RULE, 990),
    "long-exprs": lambda: (
        RULES + some(RULE.replace("x > 1", "'" + "+".join(["rate(x[5s])"] * 40) + "'"), 900)
    ),
    "regexes": lambda: (
        RULES + some(RULE.replace("x > 1", "'x{a=~\"" + "(a|b{9}){9}" * 90 + "#\"} > 1'"), 900)
    ),
    "subqueries": lambda: RULES + some(RULE.replace("x > 1", "'max_over_time(x[3h:1s]) > #'"), 900),
    "nested-subqueries": lambda: (
        RULES + some(RULE.replace("x > 1", f"'{'max_over_time(' * 70}x{'[1y:1s])' * 70}'"), 200)
    ),
    "relabelling": lambda: (
        RULES
        + some(RULE.replace("x > 1", '\'label_replace(x, "a", "$1", "b", "(a|b{9}){90}#")\''), 900)
    ),
    "merge-chain": lambda: (
        "x0: &x0 {a: 1}\n"
        + "".join(f"x{n}: &x{n} {{<<: *x{n - 1}, k{n}: 1}}\n" for n in range(1, 900))
    ),
    "documents": lambda: many("---\ngroups: []\n"),
    "objects": lambda: many("---\nkind: PrometheusRule\nspec: {groups: []}\n"),
    "groups": lambda: "groups:\n" + some("- {name: g#, rules: []}\n", 1200),
    "templates": lambda: (
        RULES + "  - {alert: A, expr: x, labels: {a: '" + "{{ $x }}" * 120_000 + "'}}\n"
    ),
    "open-templates": lambda: (
        RULES + "  - {alert: A, expr: x, labels: {a: '" + "{{" * 490_000 + "'}}\n"
    ),
    "template-spaces": lambda: (
        RULES + "  - {alert: A, expr: x, labels: {a: '{{" + " " * 980_000 + "'}}\n"
    ),
    "printf": lambda: (
        RULES + "  - {alert: A, expr: x, labels: {a: '{{ printf \"" + "%%" * 490_000 + "' }}\n"
    ),
    "template-printf": lambda: (
        RULES
        + "  - {alert: A, expr: x, labels: {a: '{{ printf \"%.2f"
        + "%%" * 480_000
        + " }}'}}\n"
    ),
    "duration": lambda: RULES + "  - {alert: A, expr: x, for: " + "9" * SIZE + "s}\n",
    "limit": lambda: "groups:\n- {name: g, limit: " + "9" * SIZE + "}\n",
    "labels": lambda: (
        RULES + "  - alert: A\n    expr: x\n    labels:\n" + some("      l#: v\n", 3200)
    ),
}
for _kind, _texts in {
    "experiment": ALONE | OF_EXPERIMENT,
    "system": OF_SYSTEM,
    "playbook": {f"alone-{k}": v for k, v in ALONE.items()} | OF_PLAYBOOK,
    "rules": {f"alone-{k}": ALONE[k] for k in ("keys", "list", "digits", "brackets")} | OF_RULES,
}.items():
    for _name, _text in _texts.items():
        _case(_name, _kind, _text)
