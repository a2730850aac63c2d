import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from model.net import LAGS, LEADS, Leads, Net, folded, place, regularity

N = 2


def batch(leads: int, seed: int = 0) -> Leads:
    torch.manual_seed(seed)
    wave, morlet = torch.randn(N, leads, 5, 585), torch.randn(N, leads, 5, 8, 50)
    place = torch.randperm(LEADS - 1)[:leads].expand(N, -1)
    return Leads(
        wave, morlet, torch.randn(N, leads, 5), torch.ones(N, leads, 25), place, torch.ones(N), torch.randn(N, 4)
    )


def trained_in_part() -> Net:
    torch.manual_seed(1)
    net = Net()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


@torch.inference_mode()
def test_the_order_of_leads_has_no_meaning_but_their_names_have() -> None:
    net, leads = trained_in_part(), batch(3)
    plain = net(leads).joined()
    assert torch.allclose(plain, net(leads.some([2, 0, 1])).joined(), atol=1e-4)
    renamed = leads._replace(lead=(leads.lead + 1) % LEADS)
    assert not torch.allclose(plain, net(renamed).joined(), atol=1e-2)


@torch.inference_mode()
def test_a_masked_lead_is_as_good_as_none() -> None:
    net, leads = trained_in_part(), batch(3)
    masked = leads._replace(mask=leads.mask.clone(), wave=leads.wave.clone())
    masked.mask[:, 2], masked.wave[:, 2] = 0, 0
    assert torch.allclose(net(masked).joined(), net(leads.some([0, 1])).joined(), atol=1e-4)


@torch.inference_mode()
def test_with_nothing_there_an_answer_is_still_a_number() -> None:
    net, leads = trained_in_part(), batch(1)
    assert torch.isfinite(net(leads._replace(mask=torch.zeros_like(leads.mask))).joined()).all()
    half = leads._replace(mask=leads.mask.clone())
    half.mask[:, :, :10] = 0
    assert torch.isfinite(net(half).joined()).all()


@torch.inference_mode()
def test_amplitude_counts_only_where_it_is_the_patients() -> None:
    net, leads = trained_in_part(), batch(2)
    unknown = leads._replace(amplitude=torch.zeros(N))
    louder = unknown._replace(level=leads.level + 1)
    assert torch.equal(net(unknown).joined(), net(louder).joined())
    assert not torch.equal(net(leads).joined(), net(leads._replace(level=leads.level + 1)).joined())


@torch.inference_mode()
def test_chunks_run_one_by_one_give_the_same_tokens_to_the_bit() -> None:
    net, leads = trained_in_part(), batch(1)
    one = [net.tokens(leads.wave[:1, :, k : k + 1], leads.morlet[:1, :, k : k + 1]) for k in range(5)]
    again = [net.tokens(leads.wave[:1, :, k : k + 1], leads.morlet[:1, :, k : k + 1]) for k in (4, 2, 0)]
    for a, b in zip(again, (one[4], one[2], one[0]), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    for parts, whole in zip(zip(*one, strict=True), net.tokens(leads.wave, leads.morlet), strict=True):
        assert torch.allclose(torch.cat(parts, 2), whole[:1], atol=1e-5)


def test_batches_together_are_answered_as_each_alone_but_share_one_statistic_without_what_is_missing() -> None:
    net, two, one = trained_in_part(), batch(2), batch(1, seed=3)
    gone = two._replace(mask=two.mask.clone())
    gone.mask[0, 0, :5] = 0
    with torch.inference_mode():
        batches = [gone, one]
        for tokens, leads in zip(net.together(batches), batches, strict=True):
            said, alone = net.answer(tokens, leads), net(leads)
            assert torch.allclose(said.joined(), alone.joined(), atol=1e-4)
    net.train()
    seen: list[int] = []
    net.stem.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    net.together([gone, one])
    assert seen == [N * 2 * 5 - 1 + N * 5]


@torch.inference_mode()
def test_folded_normalisation_answers_the_same() -> None:
    net, leads = trained_in_part(), batch(2)
    for norm in (net.stem.first_norm, net.stem.second_norm, net.stem.mix_norm):
        torch.nn.init.normal_(norm.running_mean, std=0.3)  # pyright: ignore[reportArgumentType]
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)  # pyright: ignore[reportArgumentType]
    plain = net(leads).joined()
    assert torch.allclose(folded(net)(leads).joined(), plain, atol=1e-4)
    assert isinstance(net.stem.first_norm, torch.nn.Identity)


@torch.inference_mode()
def test_a_regular_signal_is_like_itself_at_its_interval_and_an_irregular_one_at_none() -> None:
    rng = np.random.default_rng(0)
    pulse = torch.zeros(2, 250, 1)
    pulse[0, ::20] = 1
    pulse[1, rng.choice(250, 13, replace=False)] = 1
    found = regularity(pulse)
    assert found.shape == (2, 1, LAGS[1] - LAGS[0])
    assert found[0, 0].argmax() + LAGS[0] in (20, 40)
    assert found[0, 0, 20 - LAGS[0]] > 0.9
    assert found[1, 0].max() < 0.6
    x = (pulse - pulse.mean(1, keepdim=True))[:, :, 0]
    plain = torch.stack([(x[:, :201] * x[:, lag : lag + 201]).sum(1) for lag in range(LAGS[1])], 1)
    assert torch.allclose(found[:, 0], plain[:, LAGS[0] :] / (plain[:, :1] + 1e-3), atol=1e-4)


@pytest.mark.parametrize(("name", "at"), [("II", 1), ("Lead II", 1), ("MLII", 1), ("mcl1", 6), ("V", 12), ("ECG", 12)])
def test_a_monitors_lead_is_where_it_looks_from(name: str, at: int) -> None:
    assert place(name) == at


def test_it_is_small_enough_for_a_ward() -> None:
    net = trained_in_part()
    assert sum(parameter.numel() for parameter in net.parameters()) < 1_000_000
    net.train()  # in evaluation the transformer is one fused operation, which the counter does not see
    for leads, most in ((2, 7.5e6), (12, 32e6)):
        with FlopCounterMode(display=False) as counter:
            net(batch(leads))
        assert counter.get_total_flops() / N < most
