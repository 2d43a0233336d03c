"""What is asked often: read models, kept from the events alone, thrown away and rebuilt at will.

Law: a projection never decides again; an event says all that happened. Rows and checkpoint change in one transaction.
"""
