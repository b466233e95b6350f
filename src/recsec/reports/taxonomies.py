"""Techniques of MITRE ATLAS and OWASP ML that concern recommenders, and which were tested."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from recsec.reports.parts import Part
from recsec.reports.threat import parts_of

__all__ = ["ATLAS", "MITIGATIONS", "OWASP", "TAXONOMIES", "Concern", "Taxonomy", "concerns"]


class Taxonomy(NamedTuple):
    """Who names techniques, and which version is meant."""

    version: str
    organization: str
    uri: str


TAXONOMIES: Final = {
    "MITRE ATLAS": Taxonomy("5.6.0", "MITRE", "https://atlas.mitre.org/"),
    "OWASP ML Top Ten": Taxonomy(
        "2023", "OWASP", "https://owasp.org/www-project-machine-learning-security-top-10/"
    ),
}
ATLAS: Final = {
    "AML.T0005.001": "Create Proxy AI Model: Train Proxy via Replication",
    "AML.T0015": "Evade AI Model",
    "AML.T0020": "Poison Training Data",
    "AML.T0024": "Exfiltration via AI Inference API",
    "AML.T0024.000": "Infer Training Data Membership",
    "AML.T0024.001": "Invert AI Model",
    "AML.T0024.002": "Extract AI Model",
    "AML.T0029": "Denial of AI Service",
    "AML.T0031": "Erode AI Model Integrity",
    "AML.T0040": "AI Model Inference API Access",
    "AML.T0042": "Verify Attack",
    "AML.T0043.000": "Craft Adversarial Data: White-Box Optimization",
    "AML.T0043.001": "Craft Adversarial Data: Black-Box Optimization",
    "AML.T0043.002": "Craft Adversarial Data: Black-Box Transfer",
    "AML.T0044": "Full AI Model Access",
    "AML.T0048.004": "External Harms: AI Intellectual Property Theft",
    "AML.T0051": "LLM Prompt Injection",
}
MITIGATIONS: Final = {
    "AML.M0001": "Limit Model Artifact Release",
    "AML.M0002": "Passive AI Output Obfuscation",
    "AML.M0003": "Model Hardening",
    "AML.M0004": "Restrict Number of AI Model Queries",
    "AML.M0015": "Adversarial Input Detection",
}
OWASP: Final = {
    "ML01:2023": "Input Manipulation Attack",
    "ML02:2023": "Data Poisoning Attack",
    "ML03:2023": "Model Inversion Attack",
    "ML04:2023": "Membership Inference Attack",
    "ML05:2023": "Model Theft",
    "ML06:2023": "AI Supply Chain Attacks",
    "ML07:2023": "Transfer Learning Attack",
    "ML08:2023": "Model Skewing",
    "ML09:2023": "Output Integrity Attack",
    "ML10:2023": "Model Poisoning",
}


class Concern(NamedTuple):
    """A threat to recommenders: what it is called, and whether this audit tested it."""

    name: str
    ids: tuple[str, ...]
    status: Literal["tested", "not tested", "does not apply"]
    why: str


CONCERNS: Final = (
    ("Model theft through the API", ("AML.T0024.002", "ML05:2023"), "extraction", ""),
    ("Changed photos of items", ("AML.T0015", "ML01:2023"), "evasion", ""),
    (
        "Fake profiles and poisoned training data",
        ("AML.T0020", "ML02:2023"),
        "",
        "recsec does not train on an attacker's profiles",
    ),
    (
        "Fake clicks that skew what the model learns next",
        ("AML.T0031", "ML08:2023"),
        "",
        "recsec does not simulate feedback loops",
    ),
    (
        "Who was in the training data",
        ("AML.T0024.000", "ML04:2023"),
        "",
        "recsec has no membership attack",
    ),
    (
        "Histories read out of the model",
        ("AML.T0024.001", "ML03:2023"),
        "",
        "recsec has no inversion attack",
    ),
    (
        "Changed titles and descriptions of items",
        ("AML.T0015", "ML01:2023"),
        "",
        "recsec attacks photos, not text",
    ),
    (
        "A pretrained backbone that its maker prepared, or a changed model file",
        ("ML06:2023", "ML07:2023", "ML10:2023"),
        "",
        "check where weights come from; recsec loads no pickles",
    ),
    ("Too many or too costly requests", ("AML.T0029",), "", "a matter of the service"),
    ("Answers changed on their way", ("ML09:2023",), "", "a matter of transport"),
)


def concerns(report: Part) -> list[Concern]:
    """The threats to recommenders, and which of them an audit tested.

    A threat of the other kind of recommender was not tried because the plan did not ask for it.
    Prompt injection applies to language models only; no target of recsec is one.
    """
    tried = {threat.name: part for threat, part in parts_of(report)}
    found = []
    for name, ids, threat, why in CONCERNS:
        if threat in tried:
            found.append(Concern(name, ids, "tested", ""))
        else:
            found.append(Concern(name, ids, "not tested", why or "the plan does not ask for it"))
    found.append(
        Concern(
            "Prompt injection",
            ("AML.T0051",),
            "does not apply",
            "no language model answers here, as far as recsec can see",
        )
    )
    return found
