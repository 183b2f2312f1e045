"""Cases, what was done to each, and the random samples that some were drawn in."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of cases."""
    op.create_table(
        "case_draw",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("drawn_at", sa.DateTime(), nullable=False),
        sa.Column("drawn_by", sa.String(100), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("snapshot", sa.String(100), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("line", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_case_draw"),
    )
    op.create_table(
        "case_stratum",
        sa.Column("draw_id", sa.String(16), nullable=False),
        sa.Column("chain", sa.String(100), nullable=False),
        sa.Column("eligible", sa.Integer(), nullable=False),
        sa.Column("drawn", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("draw_id", "chain", name="pk_case_stratum"),
        sa.ForeignKeyConstraint(["draw_id"], ["case_draw.id"], name="fk_case_stratum_draw_id"),
    )
    op.create_table(
        "casefile",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("account", sa.String(500), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("opened_by", sa.String(100), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("draw_id", sa.String(16), nullable=True),
        sa.Column("log_odds", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_casefile"),
        sa.ForeignKeyConstraint(["draw_id"], ["case_draw.id"], name="fk_casefile_draw_id"),
    )
    op.create_index("ix_casefile_account", "casefile", ["account"])
    op.create_index("ix_casefile_draw_id", "casefile", ["draw_id"])
    op.create_table(
        "case_step",
        sa.Column("case_id", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("taken_at", sa.DateTime(), nullable=False),
        sa.Column("taken_by", sa.String(100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(20), nullable=True),
        sa.Column("category", sa.String(50), nullable=True),
        sa.Column("substances", sa.Text(), nullable=True),
        sa.Column("owner", sa.String(500), nullable=True),
        sa.PrimaryKeyConstraint("case_id", "number", name="pk_case_step"),
        sa.ForeignKeyConstraint(["case_id"], ["casefile.id"], name="fk_case_step_case_id"),
    )


def downgrade() -> None:
    """Take the tables of cases away."""
    op.drop_table("case_step")
    op.drop_index("ix_casefile_draw_id", "casefile")
    op.drop_index("ix_casefile_account", "casefile")
    op.drop_table("casefile")
    op.drop_table("case_stratum")
    op.drop_table("case_draw")
