"""Are the verdicts right? `python -m tests.truth` judges a million small histories, each with its
checker and with an oracle that is as plain as the definition of its property.
"""
