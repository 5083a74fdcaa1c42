"""A taught edit on its way to the visitor's account on the Hub and back."""

from types import SimpleNamespace

import pytest
import yaml
from huggingface_hub import hf_api

from lwgan import EditingPipeline, taught
from lwgan.hub import registry
from lwgan.page import account, blocks
from lwgan.page.editor import Editor
from tests.live import serving_here
from tests.nets import make_registry
from tests.page.test_teach import NAME, Teach
from trainers import publish

REPO = f"lab/{NAME}"
LOCAL = {"client": SimpleNamespace(host="127.0.0.1"), "headers": {}}


@pytest.fixture
def pipe(hub, tmp_path):
    """Toy nets that were published as lab's, as the page pulls them."""
    publish.main(publish.Options(make_registry(tmp_path / "shelf"), "lab"))
    return EditingPipeline.from_pretrained("lab")


@pytest.fixture
def made(pipe):
    piles = [taught.look(pipe, [pipe.sample(seed) for seed in seeds]) for seeds in (range(5), range(5, 10))]
    return taught.make(pipe, *piles, "More digits")


def test_a_push_is_one_private_commit_that_names_its_base_and_comes_back(hub, pipe, made):
    pushed = account.push(made, "hf_write")
    repo = hub.repos[REPO]
    assert repo.private and pushed.repo_id == REPO and len(repo.commits) == 2  # the Hub made the first
    head = yaml.safe_load(repo.head.files["README.md"].decode().split("---\n")[1])
    assert head["base_model"] == "lab/lwgan-multimnist-generator" and head["base_model_relation"] == "adapter"
    assert {"config.json", "model.safetensors", "README.md", "images/strip.png"} <= set(repo.head.files)
    assert REPO in [entry.source for entry in registry.edits_of(head["base_model"], "hf_write")]
    editor = Editor(SimpleNamespace(pipes={"multimnist": pipe}, refused={}, pending=False))
    session, sliders = editor.start()
    entry = account.find(REPO, "hf_write")
    session, sliders = editor.add_found(session, sliders, entry, "hf_write")
    assert sliders["rows"][0] == {"name": NAME, "strength": 1.0}
    assert editor.show(session, sliders, "Edit")["edit"]["edited"]
    # Nobody else sees it: neither another account nor a visitor without one on a machine that has a token.
    for token in ("hf_other", None):
        with pytest.raises(ValueError, match="that you may read"):
            account.find(REPO, token)
    with pytest.raises(ValueError, match="expected an edit"):
        editor.add_found(session, sliders, account.find("lab/lwgan-multimnist-generator", None), None)


def test_a_push_that_will_not_do_is_answered_in_words(hub, made):
    refused = {None: "sign in to the Hub first", "hf_read": "may only read", "hf_bad": "was not pushed"}
    for token, said in refused.items():
        with pytest.raises(ValueError, match=said):
            account.push(made, token)
        with pytest.raises(ValueError, match="learn one first"):
            account.push(None, token)
    assert REPO not in hub.repos


@pytest.mark.parametrize(
    ("request_", "environment", "token"),
    [
        (LOCAL, {}, "hf_write"),
        ({**LOCAL, "headers": {"x-forwarded-for": "1.2.3.4"}}, {}, None),
        ({**LOCAL, "client": SimpleNamespace(host="10.0.0.7")}, {}, None),
        (LOCAL, {"SPACE_ID": "lab/digits"}, None),
    ],
)
def test_only_a_visitor_on_this_machine_uses_its_token(hub, monkeypatch, request_, environment, token):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    visitor = SimpleNamespace(**request_)
    assert account.token_of(None, visitor) == token
    assert account.token_of(SimpleNamespace(token=account.MOCK), visitor) == token
    assert account.token_of(SimpleNamespace(token="hf_other"), visitor) == "hf_other"


@pytest.mark.filterwarnings("ignore:Gradio does not support OAuth")  # of its mock of the sign-in
def test_a_visitor_signs_in_pushes_and_finds_the_edit(chrome, hub, pipe, tmp_path, monkeypatch):
    monkeypatch.setenv("OAUTH_CLIENT_ID", "mock")
    # As the variables make them in a new process.
    monkeypatch.setattr(blocks, "SIGN_IN", True)
    monkeypatch.setattr(hf_api.api, "endpoint", hub.url)
    with serving_here(tmp_path, tmp_path / "shelf") as address:
        page = Teach(chrome, address)
        page.press("#sign-in")
        page.until(lambda: not page.has("#sign-in"), "the page to be left")
        page = Teach(chrome, address)
        page.until(lambda: "lab" in page.attribute("#sign-in", "textContent"), "the visitor's name")
        for step, seeds in ((1, range(5)), (2, range(5, 10))):
            page.step(step)
            page.samples(seeds)
        page.step(3)
        page.keys("#view-teach .name", "More digits")
        page.press("#view-teach .go")
        page.archive()
        page.press("#push")
        said = lambda: page.attribute("#view-teach .said", "textContent")
        page.until(lambda: said() == f"Pushed to {REPO}, which only you can see.", f"the push, not {said()}")
        assert not page.violations() and hub.repos[REPO].private
        page = Teach(chrome, address)  # another visit, in which the edit was not taught
        assert not page.has(page.row(NAME))
        page.tab("#source", "Link")
        page.type("#found textarea, #found input", REPO)
        page.until(lambda: page.has(page.row(NAME)), "the slider of the edit that was found")
        assert page.strength(NAME) == "1"
