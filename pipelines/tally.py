"""What a run did, read from the ledger."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stook.transforms.editions.ledger import ProductRecord, TileRecord
from stook.transforms.editions.plan import Plan

DERIVE = "derive"  # the step whose time is that of products that are made from maps


@dataclass
class Tally:
    """What a run did.

    Attributes:
        computed: Tiles of which models made something, or failed to.
        carried: Tiles of which everything that models make was taken over from the edition before.
        failed: Of ``computed``, those that failed.
        derived: Tiles of which it made maps from finished ones.
        seconds: By step, summed over tiles.
        amounts: See ``stook.transforms.amounts.Amounts``; summed over tiles.
        devices: Where encoders ran.
    """

    computed: int = 0
    carried: int = 0
    failed: int = 0
    derived: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)
    devices: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, run: str, plan: Plan, records: Iterable[TileRecord]) -> "Tally":
        """Add up what a run recorded.

        Args:
            run: See ``Lease.run``.
            plan: Of the edition.
            records: All of its ledger.
        """
        tally = cls()
        models = {product.product for product in plan.products}
        for record in records:
            own = {name: made for name, made in record.products.items() if made.run == run}
            derived = [name for name, made in own.items() if name not in models and not made.carried]
            if own:
                tally._add(record, [own[name] for name in own if name in models], bool(derived))
        return tally

    def _add(self, record: TileRecord, modelled: list[ProductRecord], derived: bool) -> None:
        self.derived += derived
        times = {step: seconds for step, seconds in record.seconds.items() if modelled or step == DERIVE}
        self.seconds.update(times)
        if not modelled:
            return
        carried = all(made.carried for made in modelled)
        self.carried += carried
        self.computed += not carried
        self.failed += any(made.status == "failed" for made in modelled)
        self.amounts.update(record.amounts)
        self.devices |= set() if carried else {record.device}
