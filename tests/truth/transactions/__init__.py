"""Truth of transactions: oracles as plain as docs/transactions.md, and engines that break it."""
