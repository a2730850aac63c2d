import torch
from torch.utils.flop_counter import FlopCounterMode

from model.diagnosis.net import LEADS, Answer, DiagnosisNet, Leads

N = 2


def batch(leads: int, seed: int = 0) -> Leads:
    torch.manual_seed(seed)
    wave, morlet = torch.randn(N, leads, 5, 585), torch.randn(N, leads, 5, 8, 50)
    place = torch.randperm(LEADS - 1)[:leads].expand(N, -1)
    return Leads(
        wave, morlet, torch.randn(N, leads, 5), torch.ones(N, leads, 50), place, torch.ones(N), torch.randn(N, 4)
    )


def trained_in_part() -> DiagnosisNet:
    torch.manual_seed(1)
    net = DiagnosisNet()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


def reordered(leads: Leads, order: list[int]) -> Leads:
    return leads._replace(
        wave=leads.wave[:, order],
        morlet=leads.morlet[:, order],
        level=leads.level[:, order],
        mask=leads.mask[:, order],
        lead=leads.lead[:, order],
    )


def together(answer: Answer) -> torch.Tensor:
    return torch.cat([answer.normal[:, None], *answer[1:]], 1)


@torch.inference_mode()
def test_the_order_of_leads_has_no_meaning_but_their_names_have() -> None:
    net, leads = trained_in_part(), batch(3)
    plain = together(net(leads))
    assert torch.allclose(plain, together(net(reordered(leads, [2, 0, 1]))), atol=1e-4)
    renamed = leads._replace(lead=(leads.lead + 1) % LEADS)
    assert not torch.allclose(plain, together(net(renamed)), atol=1e-2)


@torch.inference_mode()
def test_a_masked_lead_is_as_good_as_none() -> None:
    net, leads = trained_in_part(), batch(3)
    masked = leads._replace(mask=leads.mask.clone())
    masked.mask[:, 2] = 0
    assert torch.allclose(together(net(masked)), together(net(reordered(leads, [0, 1]))), atol=1e-4)


@torch.inference_mode()
def test_with_nothing_there_an_answer_is_still_a_number() -> None:
    net, leads = trained_in_part(), batch(1)
    assert torch.isfinite(together(net(leads._replace(mask=torch.zeros_like(leads.mask))))).all()
    half = leads._replace(mask=leads.mask.clone())
    half.mask[:, :, :20] = 0
    assert torch.isfinite(together(net(half))).all()


@torch.inference_mode()
def test_amplitude_counts_only_where_it_is_the_patients() -> None:
    net, leads = trained_in_part(), batch(2)
    unknown = leads._replace(amplitude=torch.zeros(N))
    louder = unknown._replace(level=leads.level + 1)
    assert torch.equal(together(net(unknown)), together(net(louder)))
    assert not torch.equal(together(net(leads)), together(net(leads._replace(level=leads.level + 1))))


@torch.inference_mode()
def test_chunks_run_one_by_one_give_the_same_tokens_to_the_bit() -> None:
    net, leads = trained_in_part(), batch(1)
    one = [net.tokens(leads.wave[:1, :, k : k + 1], leads.morlet[:1, :, k : k + 1]) for k in range(5)]
    again = [net.tokens(leads.wave[:1, :, k : k + 1], leads.morlet[:1, :, k : k + 1]) for k in (4, 2, 0)]
    assert torch.equal(torch.cat([again[2], again[1], again[0]], 2), torch.cat([one[0], one[2], one[4]], 2))
    whole = net.tokens(leads.wave, leads.morlet)[:1]
    assert torch.allclose(torch.cat(one, 2), whole, atol=1e-5)


def test_it_is_small_enough_for_a_ward() -> None:
    net = trained_in_part()
    assert sum(parameter.numel() for parameter in net.parameters()) < 1_000_000
    net.train()  # in evaluation the transformer is one fused operation, which the counter does not see
    for leads, most in ((2, 10.5e6), (12, 37.5e6)):
        with FlopCounterMode(display=False) as counter:
            net(batch(leads))
        assert counter.get_total_flops() / N < most
