/// Names that people can say, and ids that never repeat.
public enum MachineNames {
    private static let adjectives = [
        "agile", "amber", "brave", "bright", "brisk", "calm", "clever", "cosy", "crisp", "deft", "eager", "early",
        "fair", "fleet", "fond", "frank", "gentle", "glad", "golden", "grand", "hardy", "jolly", "keen", "kind",
        "light", "lively", "lucky", "mellow", "merry", "mild", "neat", "nimble", "noble", "plucky", "proud", "quick",
        "quiet", "rapid", "ready", "silver", "smart", "snug", "solid", "spry", "steady", "sunny", "swift", "tidy",
        "vivid", "warm", "wise", "witty", "young", "zesty",
    ]
    private static let nouns = [
        "avocet", "bittern", "bunting", "crane", "curlew", "dipper", "dove", "dunlin", "eagle", "egret", "falcon",
        "finch", "gannet", "goshawk", "grebe", "heron", "hobby", "hoopoe", "ibis", "jackdaw", "jay", "kestrel",
        "kite", "lapwing", "lark", "linnet", "magpie", "martin", "merlin", "nuthatch", "oriole", "osprey", "owl",
        "petrel", "pipit", "plover", "puffin", "quail", "raven", "redstart", "robin", "rook", "ruff", "siskin",
        "snipe", "sparrow", "starling", "stork", "swallow", "swan", "swift", "tern", "thrush", "wagtail", "warbler",
        "wren",
    ]

    static func generate(using generator: inout some RandomNumberGenerator) -> String {
        let adjective = adjectives.randomElement(using: &generator) ?? "swift"
        let noun = nouns.randomElement(using: &generator) ?? "wren"
        return "\(adjective)-\(noun)"
    }

    /// Twelve hexadecimal digits.
    static func identifier(using generator: inout some RandomNumberGenerator) -> String {
        let digits = Array("0123456789abcdef")
        return String((0..<12).map { _ in digits[Int.random(in: 0..<16, using: &generator)] })
    }

    /// Letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 63.
    public static func check(_ name: String) throws(FleetError) {
        let bytes = Array(name.utf8)
        let isPlain: (UInt8) -> Bool = {
            (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
        }
        guard let first = bytes.first, isPlain(first), bytes.count <= 63,
            bytes.allSatisfy({ isPlain($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f })
        else {
            throw FleetError(
                .invalidName,
                "\"\(name)\" cannot name a machine; use letters, digits, \".\", \"_\" and \"-\", at most 63, beginning with a letter or digit"
            )
        }
    }
}
