"""The shapes of requests and answers, for checking what comes in and for OpenAPI.

Answers are written from prepared dictionaries (`api/answers.py`), not through these models: a test checks
that both say the same. Examples stand in `api/examples.py`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Base of all shapes: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


Time = Annotated[str, Field(description="ISO 8601, UTC", pattern=r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")]
Day = Annotated[str, Field(description="ISO 8601 day", pattern=r"^\d{4}-\d\d-\d\d$")]
Share = Annotated[float, Field(description="0 to 1")]
Money = Annotated[float | None, Field(description="US dollars at each day's price; null where unknown")]
LevelName = Literal["LOW", "MEDIUM", "HIGH", "SEVERE", "UNKNOWN"]
Decider = Literal["sanction", "label", "rule", "model", "none"]


class ScreeningRequest(Shape):
    """What to screen."""

    address: str = Field(
        min_length=1, max_length=300, description="a CAIP-10 id, or a bare address where it is unambiguous"
    )
    chain: str | None = Field(
        default=None,
        min_length=1,
        max_length=80,
        description="name or CAIP-2 id of a bare address's chain",
    )


class ErrorAnswer(Shape):
    """Every answer that is not 2xx has this one shape."""

    timestamp: Time
    path: str
    status: int
    error: str = Field(description="stable word for code")
    message: str = Field(description="for a person: names the thing and says what to do")
    request_id: str = Field(description="as in the header X-Request-ID; quote it when you ask for help")


class DepositEvidence(Shape):
    """The first payment that shows it."""

    time: Time
    hash: str | None


class DepositShape(Shape):
    """A mark: most likely the service gave this address to one customer, who is the lead."""

    account_id: str = Field(description="a labelled address of the service")
    category: str
    confidence: float = Field(ge=0, le=1)
    evidence: DepositEvidence


class Subject(Shape):
    """What was screened."""

    account_id: str = Field(description="CAIP-10 id")
    address: str = Field(description="as people write it")
    chain: str
    entity_id: str | None = Field(description="CAIP-10 id of the earliest address of its cluster")
    entity_addresses: int | None = Field(description="number of addresses of its cluster, itself included")
    deposit_of: DepositShape | None
    in_ledger: bool
    also_on: list[str] = Field(description="CAIP-10 ids in the ledger with the same key on other chains")


class AsOf(Shape):
    """The moment that the answer speaks of."""

    height: int | None = Field(description="highest block of the chain that was known")
    time: Time = Field(description="later transfers and labels do not count")


class Heights(Shape):
    """First and last block; null where the source has no blocks."""

    first: int | None
    last: int | None


class Coverage(Shape):
    """How complete the view is."""

    heights: Heights | None = Field(
        description="blocks of the chain in the ledger; null for what is not in it"
    )
    history_share: float | None = Field(description="0 to 1, of what was spent: the receipt is in the ledger")
    staleness_seconds: int | None = Field(description="age of the chain's newest transfer at `as_of`")


class Versions(Shape):
    """What the answer was made from."""

    snapshot: str
    model: str | None
    labels: str | None = Field(description="hash of all labels")
    code: str | None


class AddressVersions(Shape):
    """What the facts were made from."""

    snapshot: str
    labels: str | None
    code: str | None


class TrainedOn(Shape):
    """Whom the model speaks of."""

    simulated: bool
    chains: list[str]


class FindingShape(Shape):
    """One reason for a level."""

    id: str
    risk_level: LevelName
    decided_by: Decider
    text: str


class ProbabilityShape(Shape):
    """Probability of drug-related laundering."""

    value: float
    assumed_prevalence: float = Field(description="share of all owners that launder drug money, as assumed")


class LabelShape(Shape):
    """A claim that an address belongs to a category. Its texts are a third party's: escape them."""

    account_id: str
    category: str
    name: str
    entity: str
    source: str
    reference: str
    confidence: float
    published_at: Time | None
    recorded_at: Time
    licence: str
    may_export: bool
    cluster_definer: bool


class SanctionShape(Shape):
    """A match on a sanctions list."""

    account_id: str = Field(description="what the list names; the same key on another chain matches too")
    programmes: list[str]
    entity: str
    name: str
    category: str
    source: str = Field(description="the list")
    reference: str
    listed_at: Day | None = Field(description="day on which the entity was listed")
    recorded_at: Time


class DrugEvidenceShape(Shape):
    """What ties the address to the drug trade in particular, apart from any score."""

    found: bool
    source_share: Share
    source_direct_share: Share
    destination_share: Share
    destination_direct_share: Share
    labels: list[LabelShape]


class LargestShape(Shape):
    """The labelled payment that the largest part along one path came from; of what was sent, arrived with."""

    account_id: str = Field(description="the labelled address")
    time: Time
    hash: str | None
    value: float = Field(
        description="of that part, in whole units of the line's asset, to about seven digits"
    )


class ContributionShape(Shape):
    """One category that value came from or went to."""

    category: str
    name: str
    exposure_type: Literal["OWNERSHIP", "DIRECT", "INDIRECT"]
    value: float | None = Field(description="whole units of `symbol`")
    symbol: str | None
    value_usd: Money
    share: Share
    min_hops: int | None
    label_source: str | None
    label_confidence: float | None
    largest: LargestShape | None


class ContributionsShape(Shape):
    """Where value came from, and where it went."""

    source: list[ContributionShape]
    destination: list[ContributionShape]


class UnattributedReason(Shape):
    """Why some value has no category."""

    id: str
    direction: Literal["source", "destination"]
    share: Share
    text: str


class UnattributedShape(Shape):
    """How much value has no category."""

    share: Share = Field(description="0 to 1, of what was received")
    destination_share: Share = Field(description="0 to 1, of what was sent")
    reasons: list[UnattributedReason]


class EvidenceShape(Shape):
    """One transfer that shows an indicator."""

    time: Time
    hash: str | None = Field(description="of the transaction, or a payment's reference; null without one")
    value: float = Field(description="all that it paid out, in whole units of `symbol`")
    symbol: str
    value_usd: Money


class IndicatorShape(Shape):
    """A typology that the address's cluster shows: a lead, which feeds neither score nor level."""

    id: str = Field(description="stable; docs/indicators.md describes it")
    name: str
    hypothesis: bool = Field(description="expected, and shown by no source: never assert it")
    weak: bool = Field(description="ordinary people show it about as often: it says little alone")
    strength: float = Field(description="0 to 1: 0.5 at the threshold", ge=0, le=1)
    text: str
    evidence: list[EvidenceShape] = Field(description="at most 20, the most telling, oldest first")
    evidence_count: int = Field(description="how many transfers show it in all")


class ReasonShape(Shape):
    """One feature's part in the score."""

    feature: str
    value: float | None
    contribution: float = Field(description="what it adds to the log-odds; below 0 lowers the score")
    text: str = Field(description="for a person; English, Russian or Chinese, as was asked for")


class LaunderingBehaviourShape(Shape):
    """How much it acts like those in any crime, whatever its money's source. It sets no level."""

    score: int = Field(ge=0, le=100)
    reasons: list[ReasonShape]


class RemarkShape(Shape):
    """Something to know beside the level."""

    id: str
    text: str


class ScreeningAnswer(Shape):
    """One screening. Nothing in it decides alone: see `notice`."""

    screening_id: str = Field(description="hash of snapshot, account and caller: ask twice, get the same")
    subject: Subject
    as_of: AsOf
    coverage: Coverage
    versions: Versions
    trained_on: TrainedOn | None
    risk_level: LevelName
    decided_by: Decider
    findings: list[FindingShape] = Field(description="everything that sets a level; the strongest decided")
    risk_score: int | None = Field(ge=0, le=100)
    probability: ProbabilityShape | None = Field(description="null where the model is of other chains")
    drug_evidence: DrugEvidenceShape
    laundering_behaviour: LaunderingBehaviourShape | None = Field(
        description="null where no behaviour model scored the address"
    )
    sanctions: list[SanctionShape]
    labels: list[LabelShape] = Field(description="of the address itself")
    entity_labels: list[LabelShape] = Field(description="of other addresses of its cluster")
    contributions: ContributionsShape
    unattributed: UnattributedShape
    indicators: list[IndicatorShape] = Field(description="strongest first; no part of score or level")
    reasons: list[ReasonShape] = Field(description="features that moved the score most, strongest first")
    unknown_reasons: list[RemarkShape] = Field(description="what is not known, whoever decided")
    cautions: list[RemarkShape] = Field(description="what may not be concluded")
    notice: str


class SummaryShape(Shape):
    """Totals of an address, in whole units of its main asset."""

    first_seen: Time
    last_seen: Time
    transfers_in: int
    transfers_out: int
    received: float
    sent: float
    received_usd: Money
    sent_usd: Money
    asset: str = Field(description="CAIP-19 id")
    symbol: str
    assets: int = Field(description="number of different assets")
    counterparties: int
    height: int | None = Field(description="block of the last transfer")


class TransferShape(Shape):
    """One transfer as seen from the address."""

    time: Time
    hash: str | None = Field(description="of the transaction, or a payment's reference; null without one")
    direction: str
    value: float
    symbol: str
    value_usd: Money
    counterparty: str | None = Field(description="CAIP-10 id; null where there are several or none")
    counterparties: int


class AddressAnswer(Shape):
    """What is known of an address: facts, no level."""

    subject: Subject
    as_of: AsOf
    coverage: Coverage
    versions: AddressVersions
    summary: SummaryShape | None
    sanctions: list[SanctionShape]
    labels: list[LabelShape]
    entity_labels: list[LabelShape]
    contributions: ContributionsShape
    unattributed: UnattributedShape
    transfers: list[TransferShape] = Field(description="newest first")


class Health(Shape):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Shape):
    """Whether screenings can be answered, and from what."""

    ready: bool
    snapshot: str | None
    as_of: Time | None
    model: str | None
    problems: list[str] = Field(description="what is wrong, for a person; an older snapshot may still serve")
