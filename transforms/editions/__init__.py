"""What a run keeps: plan, products, edition, map store, ledger."""
