"""The words of the small world: short lists, so that a model of a few million parameters can know them all."""

from __future__ import annotations

ANIMALS = (
    "fox", "owl", "hen", "cat", "dog", "goat", "frog", "bear", "duck", "mouse", "horse", "sheep", "wolf", "crow",
    "deer", "hare", "swan", "toad", "mole", "otter",
)  # fmt: skip
OBJECTS = (
    "cup", "pen", "bell", "lamp", "book", "boat", "rope", "key", "hat", "drum", "coin", "map", "kite", "ring",
    "box", "ladder", "basket", "candle", "mirror", "whistle",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "purple", "orange")
FOODS = (
    "bread", "soup", "honey", "cheese", "plum cake", "apple pie", "nut pie", "fish stew", "rice", "corn",
    "pear jam", "bean salad",
)  # fmt: skip
JOBS = ("baker", "miller", "painter", "sailor", "teacher", "farmer", "weaver", "doctor", "singer", "builder")
FRUITS = ("apples", "pears", "plums", "nuts", "shells", "stones", "coins", "books", "cups", "hats")
PLACES = ("forest", "market", "garden", "harbour", "hill", "mill", "meadow", "bridge", "lake", "old barn")
WEATHERS = ("a sunny", "a rainy", "a windy", "a cold", "a warm", "a quiet")
TRAITS = ("kind", "clever", "shy", "brave", "tired", "curious", "happy", "careful")

LIST_WORDS = ANIMALS + OBJECTS + COLOURS
"""Words of the list instructions (repeat, reverse, uppercase …): every one of them is a single word."""

REALM_STARTS = ("Or", "Tal", "Ven", "Mar", "Kel", "Bran", "Sol", "Nor", "Lis", "Dun", "Hal", "Pel")
REALM_ENDS = ("dia", "vania", "mark", "land")
TOWN_STARTS = (
    "Ash", "Brim", "Cald", "Dray", "Elm", "Fen", "Glen", "Holt", "Iver", "Kirk", "Lark", "Mist", "North", "Oak",
    "Pine", "Quill", "Rook", "Stone", "Thorn", "Wren",
)  # fmt: skip
TOWN_ENDS = ("ford", "wick", "dale", "ham", "mere")
RIVER_STARTS = ("Sil", "Bel", "Gar", "Lun", "Tam", "Wil", "Mor", "Zan", "Fir", "Cor", "Hum", "Nel")
RIVER_ENDS = ("ra", "wen", "tis")
PEOPLE = (
    "Mara", "Tobin", "Lena", "Oskar", "Pia", "Rufus", "Nell", "Hugo", "Ada", "Felix", "Greta", "Ivo", "Jana",
    "Klaus", "Lotte", "Milo", "Nora", "Otto", "Rosa", "Sven",
)  # fmt: skip
PET_NAMES = ("Pim", "Tilly", "Bo", "Momo", "Dot", "Fig", "Nib", "Ruby", "Sunny", "Tuck", "Wisp", "Zuzu")
STRANGER_STARTS = ("Xan", "Yor", "Vex", "Jul", "Ul", "Qua", "Zor", "Yel", "Wam", "Jor", "Vim", "Ek")
STRANGER_ENDS = ("bo", "tir", "mun", "dax", "lof", "shi", "pra", "gon", "nex", "vul")
