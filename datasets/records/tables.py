"""The tables of the records store. Times are naive UTC."""

from datetime import datetime

from sqlalchemy import Boolean, DateTime, Float, ForeignKey, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables of the store, with named constraints so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ApiKey(Base):
    """The right of one caller to ask. The key itself is shown once and never stored."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)  # public, stable: goes into screening ids
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(16))  # first letters of the key, to recognise it by
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime)


class CaseDraw(Base):
    """One random sample drawn for review below the line: what it was drawn from, and how."""

    __tablename__ = "case_draw"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    drawn_at: Mapped[datetime] = mapped_column(DateTime)
    drawn_by: Mapped[str] = mapped_column(String(100))
    seed: Mapped[int] = mapped_column(Integer)
    snapshot: Mapped[str] = mapped_column(String(100))
    model: Mapped[str] = mapped_column(String(100))
    line: Mapped[float] = mapped_column(Float)  # log-odds at which MEDIUM begins


class CaseStratum(Base):
    """Of how many owners of one chain a sample was drawn, and how many."""

    __tablename__ = "case_stratum"

    draw_id: Mapped[str] = mapped_column(String(16), ForeignKey("case_draw.id"), primary_key=True)
    chain: Mapped[str] = mapped_column(String(100), primary_key=True)  # CAIP-2
    eligible: Mapped[int] = mapped_column(Integer)
    drawn: Mapped[int] = mapped_column(Integer)


class Casefile(Base):
    """One investigation of one account. What happens to it stands in its steps; this row never changes."""

    __tablename__ = "casefile"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    account: Mapped[str] = mapped_column(String(500), index=True)  # CAIP-10
    opened_at: Mapped[datetime] = mapped_column(DateTime)
    opened_by: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(20))  # how it was chosen
    blind: Mapped[bool] = mapped_column(Boolean)  # the score was hidden from the reader
    draw_id: Mapped[str | None] = mapped_column(String(16), ForeignKey("case_draw.id"), index=True)
    log_odds: Mapped[float | None] = mapped_column(Float)  # the owner's highest when it was drawn


class CaseStep(Base):
    """One thing that a person did to a case. Steps are only ever added."""

    __tablename__ = "case_step"

    case_id: Mapped[str] = mapped_column(String(16), ForeignKey("casefile.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # from 1
    kind: Mapped[str] = mapped_column(String(20))
    taken_at: Mapped[datetime] = mapped_column(DateTime)
    taken_by: Mapped[str] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(Text)  # '' where nothing was written
    decision: Mapped[int | None] = mapped_column(Integer)  # number of the step that it approves or withdraws
    outcome: Mapped[str | None] = mapped_column(String(20))  # of a decision, like all that follow
    category: Mapped[str | None] = mapped_column(String(50))
    substances: Mapped[str | None] = mapped_column(Text)  # ids with ; between them
    owner: Mapped[str | None] = mapped_column(String(500))
