"""The visitor's account on the Hub: a taught edit is pushed to it, and its private edits can be added."""

import io
import os
import tempfile
import zipfile
from pathlib import Path

import gradio as gr
from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError

from lwgan.hub import client as hub
from lwgan.hub import registry
from lwgan.hub.pushing import Pushed
from lwgan.taught import Taught

SIGN_IN = "OAUTH_CLIENT_ID" in os.environ  # a Space has it if its head says hf_oauth
MOCK = "mock-oauth-token-for-local-dev"  # Gradio's, where it only plays the sign-in
HERE = ("127.0.0.1", "::1", "localhost")


def token_of(signed_in: gr.OAuthToken | None, request: gr.Request) -> str | None:
    """The token of a visitor who signed in; of one on this very machine, that of `hf auth login`; else None.

    A proxy's visitors come from this machine too, but with a header that says so."""
    if signed_in is not None and signed_in.token != MOCK:
        return signed_in.token
    host = request.client.host if request.client else None
    here = host in HERE and not request.headers.get("x-forwarded-for") and "SPACE_ID" not in os.environ
    return get_token() if here else None


def push(made: Taught | None, token: str | None) -> Pushed:
    """Pushes the folder of a taught edit, in one commit, to a private repository of the token's owner.
    ValueError in words for visitors."""
    if made is None:
        raise ValueError("there is no edit to push yet: learn one first")
    if not token:
        raise ValueError("sign in to the Hub first; on your own machine, by the command `hf auth login`")
    try:
        owner = hub.within(hub.PATIENCE, hub.client(token).whoami)["name"]
        with tempfile.TemporaryDirectory() as place:
            with zipfile.ZipFile(io.BytesIO(made.archive)) as archive:
                archive.extractall(place)
            return registry.push(Path(place) / made.name, f"{owner}/{made.name}", private=True, token=token)
    except (HfHubHTTPError, OSError) as error:
        raise ValueError(f"it was not pushed: {hub.reason(error)}") from error


def find(repo_id: str, token: str | None) -> registry.Entry:
    """The entry of an edit on the Hub. Without a token only public ones: this machine's own is not used.
    ValueError in words for visitors."""
    try:
        return registry.entry_of(repo_id, token or False)
    except (HfHubHTTPError, OSError) as error:
        if hub.status(error) in (401, 403, 404):
            raise ValueError(
                f"the Hub has no {repo_id!r} that you may read: sign in if it is private"
            ) from None
        raise ValueError(f"{repo_id!r} was not found: {hub.reason(error)}") from None
