"""Made-up credentials in the public formats of their providers, in the texts in which they occur.

Written from the providers' documentation of their formats, not from the rules that are measured
with it. Every body is random and put together at run time, so no text in here is a credential, or
looks like one. What surrounds a credential that can be told by its own form has neutral names, so
that the form alone must be enough; a credential without a form of its own (an AWS secret key, a
password) stands beside the name under which it is kept.
"""
