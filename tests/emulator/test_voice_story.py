import pytest

import novasonic
from novasonic.config import Message
from novasonic.emulator.voice import phrases
from novasonic.emulator.voice.guest import quoted_phrases
from novasonic.emulator.voice.hearing import grammar_of
from novasonic.emulator.voice.story import Story, load_story

STORY = load_story()


def tell(*said, history=()):
    """Plays the listener; gives the answers and the whole conversation."""
    history, answers = list(history), []
    for phrase in said:
        answers.append(" ".join(STORY.answer(phrase, history)))
        history += [Message("user", phrase or "(not understood)"), Message("assistant", answers[-1])]
    return answers, history


def scene(name):
    return STORY.scenes[name].text[0]


def test_every_scene_can_be_reached_and_the_story_can_end():
    reached, open_ends = set(), [STORY.start]
    while open_ends:
        name = open_ends.pop()
        if name not in reached:
            reached.add(name)
            open_ends += [choice.to for choice in STORY.scenes[name].choices]
    assert reached == STORY.scenes.keys()
    assert sum(not scene.choices for scene in STORY.scenes.values()) == 2
    assert len(reached) >= 12


def test_the_page_the_grammar_and_the_narrator_agree():
    assert set(phrases()) <= set(STORY.understood)
    assert {"tell me a story", "start again", "what can i say"} <= set(phrases())
    grammar = grammar_of(STORY.understood)
    for phrase in STORY.understood:
        assert f" {phrase} " in grammar.replace(";", " ")
    for name in STORY.scenes:
        offered = STORY.answer("where am i", [Message("assistant", scene(name))])[-1]
        for choice in STORY.scenes[name].choices:
            assert choice.say[0] in offered
            assert choice.say[0] in phrases()


def test_a_walk_through_the_story():
    answers, _ = tell(
        "tell me a story", "knock on the cottage", "ask about the keeper", "follow the lantern", "help the keeper",
        "climb the stairs", "look through the telescope", "light the lamp", "start again",
    )  # fmt: skip
    walked = ["shore", "cottage", "keeper", "cave", "rescue", "lamp", "telescope", "saved", "shore"]
    for answer, name in zip(answers, walked, strict=True):
        assert answer.startswith(scene(name))


def test_the_place_follows_from_the_last_scene_told_even_if_the_beginning_is_gone():
    _, history = tell("tell me a story", "knock on the cottage", "ask about the keeper")
    assert STORY.place(history) == "keeper"
    assert STORY.place(history[-1:]) == "keeper"


def test_an_answer_cut_off_before_its_first_sentence_still_counts():
    _, history = tell("tell me a story", "go to the lighthouse")
    assert STORY.place(history[:-1]) == "door"


def test_what_is_said_at_the_wrong_place_changes_nothing():
    answers, history = tell("tell me a story", "light the lamp")
    assert answers[1].startswith("That cannot be done here. You can say: go to the lighthouse")
    assert STORY.place(history) == "shore"


@pytest.mark.parametrize(
    ("phrase", "begins"),
    [
        (None, "I am sorry, I did not understand that. You can say: go to the lighthouse"),
        ("what can i say", "You can say: go to the lighthouse"),
        ("where am i", "You stand on a cold grey shore"),
        ("stop the story", "Then we close the book here."),
    ],
)
def test_what_can_be_said_anywhere(phrase, begins):
    answers, _ = tell("tell me a story", phrase)
    assert answers[1].startswith(begins)


def test_before_the_story_and_after_it_the_narrator_says_how_to_begin():
    for said in (None, "what can i say", "where am i", "open the door"):
        assert "tell me a story" in tell(said)[0][0]
    answers, history = tell("tell me a story", "stop the story", "go to the lighthouse")
    assert STORY.place(history) is None
    assert "tell me a story" in answers[-1]


def test_an_end_offers_to_start_again():
    answers, _ = tell("light the lamp", history=[Message("assistant", scene("lamp"))])
    assert "start again" in answers[0]


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("Go to the lighthouse!", "go to the lighthouse"),
        ("Please, OPEN the door now.", "open the door"),
        ("open the doorway", None),
        ("row the boat out to sea", "row the boat out to sea"),
        ("", None),
        ("¿Qué?", None),
    ],
)
def test_typed_words_are_searched_for_a_phrase(typed, understood):
    assert STORY.understand(typed) == understood


@pytest.mark.parametrize(
    ("phrase", "calls"),
    [
        ("tell me a story", [("next_chapter", {})]),
        ("what happens next", [("next_chapter", {})]),
        ("start again", [("next_chapter", {"start_again": True})]),
        ("open the door", [("remember_choice", {"choice": "open the door"}), ("next_chapter", {})]),
        ("what can i say", []),
        ("stop the story", []),
        (None, []),
    ],
)
def test_tools_are_called_where_they_are_declared(phrase, calls):
    assert STORY.calls(phrase, ("remember_choice", "next_chapter", "weather")) == calls
    assert STORY.calls(phrase, ("remember_choice",)) == [call for call in calls if call[0] == "remember_choice"]
    assert STORY.calls(phrase, ("weather",)) == []


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"text": "Once. And then? Well!  ", "choices": []}, ("Once.", "And then?", "Well!")),
        ({"text": "Once.", "choices": ["run", "hide"]}, ("Once.", "You can say: run, or hide.")),
        ({"text": "Once.", "choices": None}, ("Once.",)),
        ({"text": ""}, ()),
        ({"text": 5}, ()),
        ({"error": "No story."}, ()),
        (["Once."], ()),
    ],
)
def test_what_a_tool_gives_is_told(result, told):
    assert STORY.told(result) == told


PROMPT = """You tell "Foxes". Choices: "wake the sleeping owl", "Follow the fox", "no", "wake the sleeping owl"."""
TOOLS = ("next_chapter", "remember_choice", "current_chapter")
OFFER = "You can say: follow the fox, or wake the sleeping owl."


def test_a_prompt_that_quotes_choices_brings_a_story_of_its_own():
    theirs = STORY.of_client(PROMPT, TOOLS)
    assert quoted_phrases(PROMPT) == ("wake the sleeping owl", "follow the fox")
    assert theirs.understand("Please wake the sleeping owl!") == "wake the sleeping owl"
    assert theirs.understand("start again") == "start again"
    assert theirs.understand("go to the lighthouse") is None
    assert theirs.calls("follow the fox", TOOLS) == [
        ("remember_choice", {"choice": "follow the fox"}),
        ("next_chapter", {}),
    ]
    assert theirs.calls("where am i", TOOLS) == [("current_chapter", {})]


@pytest.mark.parametrize(("system", "tools"), [(PROMPT, ("weather",)), ("You tell stories.", TOOLS), ("", ())])
def test_without_choices_or_without_tools_the_story_is_ours(system, tools):
    assert STORY.of_client(system, tools) is STORY


@pytest.mark.parametrize(
    ("phrase", "told", "answer"),
    [
        (None, OFFER, f"I am sorry, I did not understand that. {OFFER}"),
        ("help", OFFER, f"{OFFER} You can also say: where am I, start again, or stop the story."),
        ("stop the story", OFFER, "Then we close the book here. Good night, and fair winds."),
        ("follow the fox", OFFER, OFFER),
        # Cut off within the offer: the one before counts.
        (None, "You can say: follow the", f"I am sorry, I did not understand that. {OFFER}"),
    ],
)
def test_beside_a_clients_story_the_narrator_offers_what_was_offered_last(phrase, told, answer):
    theirs = STORY.of_client(PROMPT, TOOLS)
    history = [Message("assistant", f"Once. {OFFER}"), Message("user", "hm"), Message("assistant", f"Then. {told}")]
    phrase = "what can i say" if phrase == "help" else phrase
    assert " ".join(theirs.answer(phrase, history)) == answer
    assert "tell me a story" in " ".join(theirs.answer(None, [])), "before it began it says how to begin"
    assert "where am I" in " ".join(theirs.answer(None, [Message("assistant", "Once. You can")]))


def test_going_on_without_tools_offers_what_can_be_said():
    answers, _ = tell("tell me a story", "what happens next")
    assert answers[1].startswith("You can say: go to the lighthouse")


def data(**changes):
    narrator = {key: ["So."] for key in ("welcome", "help", "lost", "not_understood", "not_here", "ended", "farewell")}
    commands = {name: [name] for name in ("begin", "next", "restart", "help", "repeat", "stop")}
    scenes = {
        "a": {"text": ["A."], "choices": [{"say": ["go"], "to": "b"}]},
        "b": {"text": ["B."], "choices": []},
    }
    whole = {"title": "T", "start": "a", "narrator": {**narrator, "offer": "{offer}"}, "commands": commands}
    return {**whole, "scenes": scenes, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "nowhere"}, "no scene 'nowhere'"),
        ({"scenes": {"a": {"text": ["A."], "choices": [{"say": ["go"], "to": "c"}]}}}, "no scene 'c'"),
        ({"scenes": {name: {"text": ["A."], "choices": []} for name in "ab"}}, "same sentence"),
    ],
)
def test_a_story_that_cannot_work_is_refused(changes, said):
    assert Story(data()).phrases[-1] == "go"
    with pytest.raises(novasonic.ConfigError, match=said):
        Story(data(**changes))
