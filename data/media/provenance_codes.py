"""What the status codes of a validation mean (C2PA 2.2, "Validation status codes").

Some speak of who signed, or when, and of no byte: those never make a file tampered.
"""

# what ties a manifest to a file's bytes (C2PA 2.2, "Hard bindings")
BINDING = ("assertion.dataHash.", "assertion.bmffHash.", "assertion.boxesHash.", "assertion.collectionHash.")
OF_WHO = ("signingCredential.", "timeStamp.", "claimSignature.outsideValidity", "cawg.")
MEANING = {
    "signingCredential.untrusted": "the signer's certificate is on no trust list that was given",
    "signingCredential.expired": "the signer's certificate has expired, and no time stamp says that it signed before",
    "signingCredential.revoked": "the signer's certificate was revoked",
    "signingCredential.ocsp.revoked": "the signer's certificate was revoked",
    "signingCredential.invalid": "the signer's certificate is none that may sign",
    "claimSignature.outsideValidity": "the signer's certificate was not in force when it signed",
    "claimSignature.mismatch": "the signature does not fit the manifest",
    "assertion.dataHash.mismatch": "the file's bytes are not those that were signed",
    "assertion.bmffHash.mismatch": "the file's bytes are not those that were signed",
    "assertion.boxesHash.mismatch": "the file's bytes are not those that were signed",
    "assertion.collectionHash.mismatch": "the file's bytes are not those that were signed",
    **{f"{kind}additionalExclusionsPresent": "parts of the file are left out of what is signed" for kind in BINDING},
    "assertion.hashedURI.mismatch": "a statement of the manifest is not the one that was signed",
    "assertion.missing": "a statement of the manifest is gone",
    "ingredient.manifest.mismatch": "the manifest of what the file was made from is not the one that was signed",
    "timeStamp.untrusted": "the time stamp's certificate is on no trust list that was given",
    "timeStamp.mismatch": "the time stamp is of another signature",
}


def is_left_out(code: object) -> bool:
    """True of a code that says that a binding covers less than the file (C2PA 2.2, "Validating a data hash")."""
    return str(code).startswith(BINDING) and str(code).endswith(".additionalExclusionsPresent")


def is_of_who(code: object) -> bool:
    """True of a code that speaks of who signed, or when, and of no byte."""
    return str(code).startswith(OF_WHO)
