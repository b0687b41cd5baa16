/// Signals by the names that images and people give them. Source: signal(7), x86-64 and Arm.
public enum StopSignal {
    private static let names = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ]
    /// As programs count them: the first two of the kernel's belong to the C library.
    private static let firstRealTime = 34
    private static let lastRealTime = 64

    /// Reads `SIGTERM`, `term`, `15`, `SIGRTMIN+3`, `RTMAX-1`; nil for what is no signal.
    public static func number(of text: String) -> UInt8? {
        if let number = Int(text) { return (1...lastRealTime).contains(number) ? UInt8(number) : nil }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let index = names.firstIndex(of: name) { return UInt8(index + 1) }
        func realTime(_ prefix: String, from base: Int, _ sign: Character) -> UInt8? {
            guard name.hasPrefix(prefix) else { return nil }
            let rest = name.dropFirst(prefix.count)
            if rest.isEmpty { return UInt8(base) }
            guard rest.first == sign, let offset = UInt8(rest.dropFirst()), offset <= 30 else { return nil }
            return UInt8(sign == "+" ? base + Int(offset) : base - Int(offset))
        }
        return realTime("RTMIN", from: firstRealTime, "+") ?? realTime("RTMAX", from: lastRealTime, "-")
    }

    /// `SIGTERM`, `SIGRTMIN+3`.
    public static func name(of number: UInt8) -> String {
        if number >= 1, Int(number) <= names.count { return "SIG" + names[Int(number) - 1] }
        return Int(number) > firstRealTime ? "SIGRTMIN+\(Int(number) - firstRealTime)" : "SIGRTMIN"
    }
}
