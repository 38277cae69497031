"""Every threat to the public receiver, and the tests of its control. The numbers are those of the threat model."""

from __future__ import annotations

import pytest
from tests.lifecycle.test_bad_inputs import require_tests

WEBHOOKS = "receiver/test_webhooks.py"
STRANGERS = "receiver/test_strangers.py"
LIMITS = "receiver/test_limits.py"
CSV = "test_csv_output.py"
THREATS: dict[int, tuple[str, list[str]]] = {
    1: ("forged events", [f"{WEBHOOKS}::test_t1_nothing_forged_is_accepted",
                          f"{WEBHOOKS}::test_t1_nothing_forged_in_the_name_of_twilio_is_accepted"]),
    2: ("a genuine request again, or a day later", [f"{WEBHOOKS}::test_t2_a_replay_changes_no_row",
                                                    f"{WEBHOOKS}::test_the_known_answer_of_sendgrid_verifies_in_its_time_only"]),
    3: ("unsubscribing somebody else", [f"{STRANGERS}::test_t3_no_token_but_the_right_one_unsubscribes",
                                        f"{STRANGERS}::test_t3_a_token_of_another_key_unsubscribes_nobody"]),
    4: ("scanners that unsubscribe", [f"{STRANGERS}::test_t4_a_thousand_scans_change_nobody"]),
    5: ("links led astray", [f"{STRANGERS}::test_t5_forty_tricks_lead_where_the_link_leads"]),
    6: ("guessed links", [f"{STRANGERS}::test_t6_guessing_finds_nothing_and_learns_nothing",
                          f"{STRANGERS}::test_t6_an_address_that_guesses_has_to_wait",
                          f"{STRANGERS}::test_t6_every_wrong_code_takes_the_same_work_and_time"]),
    7: ("floods, slow clients and giants", [f"{LIMITS}::test_t7_what_is_no_decent_request_is_refused",
                                            f"{LIMITS}::test_t7_slow_clients_are_hung_up_on_while_others_are_served",
                                            f"{LIMITS}::test_t7_a_trickled_head_is_hung_up_on",
                                            f"{LIMITS}::test_t7_too_many_connections_are_told_to_come_back",
                                            f"{LIMITS}::test_t7_who_waits_for_the_database_is_bounded",
                                            f"{LIMITS}::test_t7_all_bodies_together_are_bounded"]),
    8: ("what a request says about itself", [f"{WEBHOOKS}::test_t8_twilio_is_known_behind_any_proxy",
                                             f"{WEBHOOKS}::test_t8_an_address_signed_for_another_host_is_not_ours"]),
    9: ("words that are run", [f"{WEBHOOKS}::test_t9_what_an_event_says_is_never_executed",
                               f"{CSV}::test_t9_a_text_that_begins_like_a_formula_is_quoted",
                               f"{CSV}::test_t9_every_csv_of_the_command_line_is_harmless"]),
    10: ("a database that is away", [f"{WEBHOOKS}::test_t10_nothing_is_acknowledged_that_is_not_stored"]),
    11: ("keys that change", [f"{WEBHOOKS}::test_t11_no_genuine_event_is_refused_while_keys_change"]),
    12: ("STOP forged or missed", [
        f"{WEBHOOKS}::test_t12_g22_a_thousand_of_a_thousand_late_refusals_count_before_the_next_claim",
        f"{WEBHOOKS}::test_t1_nothing_forged_in_the_name_of_twilio_is_accepted",
        "test_opt_outs.py::test_a_whole_message_has_a_meaning"]),
    13: ("somebody erased who comes back", ["test_delivery_events.py::test_t13_nothing_of_a_person_is_stored"]),
    14: ("a receiver told to believe anybody", ["receiver/test_keys.py::test_t14_start_matrix",
                                                "receiver/test_keys.py::test_t14_serving_asks_before_it_listens"]),
}  # fmt: skip


@pytest.mark.parametrize("number", range(1, 15))
def test_every_threat_has_a_test_that_exists(number: int) -> None:
    require_tests(number, *THREATS[number])
