"""What of the clinical logic was learned from records, and from which.

A figure is no headline on a record from whose patient a part that can change it was learned. Learned is what was fitted
or chosen by its score on labelled records; each module says how. `model` lists the records of a network in its weights.
"""

from __future__ import annotations

from collections.abc import Iterable

from ecg.wave_fit import TRAINED_ON, patient

_MITDB = (
    "100 101 102 103 104 106 107 108 109 112 113 114 115 116 118 119 121 122 123 124 201 203 205 207 208 209 212 "
    "214 215 217 219 220 221 223 230 231 233"
)
_SVDB = (
    "800 801 802 803 804 805 806 807 809 810 811 812 820 823 825 828 829 840 841 842 843 844 846 847 849 850 851 "
    "854 855 857 858 861 862 863 865 866 868 869 870 871 872 873 877 878 879 880 884 886 888 890 891 892 893 894"
)
_LTAFDB = "00 03 08 100 104 111 113 12 122 15 17 19 200 206 208 28 32 39 44 49 53 55 62 65 72"
_CINC2015 = (
    "a103l a104s a123l a134s a145l a152s a161l a165l a167l a170s a171l a203l a219l a223l a225l a226s a266s a273l "
    "a278s a288s a297l a301l a306s a363l a372s a377l a378s a385l a391l a397l a420s a422s a429l a435l a443l a446s "
    "a449l a462s a512s a526s a539l a550s a558s a599l a603l a604s a608s a624s a631l a650s a651l a653l a654s a661l "
    "a668s a673l a675l a705l a715l a723l a746s a750s a754s a778s a780s a796s a798s a802s a810s a819l a822s a825l "
    "a847l b125l b183l b184s b187l b215l b216s b220s b227l b228s b229l b265l b268s b308s b313l b330s b332s b339l "
    "b341l b379l b388s b389l b451l b485l b486s b487l b488s b494s b497l b515l b528s b537l b538s b554s b562s b587l "
    "b588s b600s b617l b659l b664s b681l b684s b703l b706s b708s b722s b753l b757l b764s b794s b820s b838s b840s "
    "b849l f130s f137l f144s f189l f190s f236s f260s f261l f352s f407l f408s f414s f415l f440s f450s f474s f493l "
    "f500s f530s f543l f544s f545l f586s f592s f593l f602s f605l f610s f613l f618s f637l f657l f691l f789l f799l "
    "t106s t107l t108s t114s t116s t117l t150s t151l t173l t174s t191l t192s t193l t195l t208s t209l t213l t214s "
    "t234s t238s t249l t251l t252s t264s t277l t284s t342s t343l t344s t351l t356s t358s t383l t384s t394s t410s "
    "t411l t418s t430s t434s t444s t445l t447l t468s t469l t477l t478s t506s t507l t508s t509l t520s t521l t565l "
    "t594s t595l t662s t683l t688s t689l t690s t693l t698s t702s t707l t709l t716s t719l t731l t737l t739l t741l "
    "t742s t744s t747l t760s t771l t777l t790s t800s t801l t812s t817l t821l v100s v101l v102s v111l v113l v131l "
    "v132s v136s v140s v146s v147l v154s v159l v164s v168s v169l v176s v177l v179l v188s v194s v199l v201l v204s "
    "v206s v207l v210s v211l v212s v217l v218s v221l v222s v224s v233l v241l v242s v244s v246s v247l v259l v262s "
    "v274s v275l v282s v283l v289l v291l v293l v295l v296s v298s v303l v312s v316s v317l v322s v325l v326s v327l "
    "v334s v338s v348s v353l v354s v355l v359l v360s v364s v366s v367l v368s v369l v370s v371l v373l v375l v380s "
    "v381l v390s v392s v398s v399l v400s v405l v423l v426s v431l v432s v433l v452s v454s v460s v463l v466s v471l "
    "v472s v475l v476s v481l v489l v491l v492s v498s v502s v513l v518s v519l v522s v532s v533l v534s v540s v541l "
    "v542s v548s v549l v557l v564s v566s v570s v574s v579l v583l v585l v590s v596s v597l v609l v611l v619l v620s "
    "v621l v626s v629l v630s v633l v636s v641l v643l v644s v646s v647l v648s v649l v652s v655l v660s v663l v666s "
    "v674s v676s v682s v687l v692s v696s v701l v704s v713l v718s v720s v725l v727l v728s v729l v732s v733l v736s "
    "v738s v748s v749l v756s v758s v761l v763l v772s v773l v774s v775l v781l v788s v791l v793l v795l v797l v803l "
    "v805l v806s v809l v811l v813l v814s v815l v826s v828s v831l v833l v837l v842s v843l v844s v845l v846s v848s"
)

LEARNED: dict[str, dict[str, tuple[str, ...]]] = {
    "wave": {name: records for name, records in TRAINED_ON.items() if name != "nstdb"},
    "beats": {"mitdb": TRAINED_ON["mitdb"], "svdb": tuple(_SVDB.split())},
    "atrial": {"mitdb": tuple(_MITDB.split()), "ltafdb": tuple(_LTAFDB.split())},
    "run": {"cinc2015": tuple(_CINC2015.split())},
}
"""Records by set, by part: the weights of the wave (`ecg.wave`), those of the beat detector (`ecg.beat_weights`), the
numbers of the rule for atrial fibrillation (`ecg.atrial.Rule`), of `ltafdb` from every second record, and how unlike
the beats of a run may be (`ecg.rate.RUN_SPREAD`)."""


def patients(part: str) -> frozenset[str]:
    """Return the patients that a part was learned from, as `<set>/<record>`."""
    return frozenset(patient(name, record) for name, records in LEARNED[part].items() for record in records)


_PATIENTS = {part: patients(part) for part in LEARNED}


def has_seen(parts: Iterable[str], whose: str) -> bool:
    """Whether any of these parts was learned from a patient.

    Examples
    --------
    >>> has_seen(["wave"], "vfdb/418"), has_seen(["wave"], "mitdb/100"), has_seen(["wave", "atrial"], "mitdb/100")
    (True, False, True)
    """
    return any(whose in _PATIENTS[part] for part in parts)
