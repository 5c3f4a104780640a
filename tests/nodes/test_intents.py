from nodes.intents import chosen, request


def test_a_message_that_names_an_order_is_about_that_order() -> None:
    scores = {"smalltalk": 0.6, "cancel_order": 0.3, "knowledge": 0.1}
    assert chosen(scores, named=True) == ("cancel_order", 0.3)
    assert chosen(scores, named=False) == ("smalltalk", 0.6)


def test_what_names_nothing_and_is_faintly_a_request_is_a_question() -> None:
    faint = {"cancel_order": 0.3, "knowledge": 0.2}
    assert chosen(faint, named=False) == ("knowledge", 0.2)
    assert chosen({"cancel_order": 0.9, "knowledge": 0.1}, named=False)[0] == "cancel_order"


def test_an_unsure_request_is_searched_for_as_well() -> None:
    assert request("cancel_order", 0.4, "en")["knowledge"] is True
    assert request("cancel_order", 0.9, "en")["knowledge"] is False
    assert request("knowledge", 0.9, "en")["knowledge"] is True


def test_what_is_out_of_scope_needs_nothing() -> None:
    strange = request("knowledge", 0.9, "en", strange=True)
    assert (strange["intent"], strange["knowledge"]) == ("out_of_scope", False)
