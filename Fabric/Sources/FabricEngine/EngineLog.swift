import LinuxCalls

/// What an engine says while nobody waits for it, on its standard error. A file there is emptied before it grows too long.
enum EngineLog {
    private static let mostBytes: UInt64 = 256 << 10

    static func write(_ text: String) {
        if let facts = try? FileTree.facts(in: 2), facts.sizeBytes > mostBytes { try? changeLength(2, lengthBytes: 0) }
        writeToStandardError("swiftlet-fabric: \(text)\n")
    }
}
