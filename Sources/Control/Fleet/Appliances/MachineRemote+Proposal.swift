import AgentClient

/// Settings that a guest asks for, and what becomes of them: `Documentation/settings.md`.
extension MachineRemote {
    public static let proposalPath = "/run/settings.new"
    public static let answerPath = "/run/settings.answer"

    /// What the guest's program wrote.
    ///
    /// Trust: a guest's bytes, of which only the number is bounded here.
    /// - Returns: nil where it asks for nothing.
    public func proposedSettings(limit: Int) throws -> [UInt8]? {
        let bytes = try FileCopy.contents(
            of: Self.proposalPath, in: try endpoint(), limit: limit, patience: copyPatience)
        return bytes?.isEmpty == false ? bytes : nil
    }

    /// Tells the guest what has become of it; what has been taken is emptied, so that it is not taken twice.
    public func answerProposal(_ text: String, isTaken: Bool) throws {
        var files = [
            HandedInFile(path: Self.answerPath, permissions: 0o600, contents: Array("\(text)\n".utf8))
        ]
        if isTaken { files.append(HandedInFile(path: Self.proposalPath, permissions: 0o600, contents: [])) }
        try FileCopy.handIn(files, to: try endpoint(), patience: copyPatience)
    }
}
