"""Causal localisation: which part of the trained weights carries a measured effect.

With W(S) the base whose places S alone are trained, and m(S) the metric of base against W(S),

    carried alone  a(S) = (m(S) − m(∅)) / (m(all) − m(∅))           S is sufficient
    lost without   l(S) = (m(all) − m(all∖S)) / (m(all) − m(∅))     S is necessary

m(∅), base against itself, is 0 for most metrics and measured for all. `cells` groups places by layer and part, `shares`
puts intervals around the two, `search` halves toward the smallest set that carries the effect, `controls` draws sets of
like size, `statement` says it in a sentence. `generation` and `reading` evaluate m on texts that blends of the models
write, and on passages that they read.
"""
