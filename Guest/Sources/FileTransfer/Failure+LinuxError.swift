package import AgentProtocol
package import LinuxCalls

extension Failure {
    /// A failure with the kernel's words for it.
    package init(_ code: Code, _ error: LinuxError, _ text: ByteString) {
        self.init(
            code, systemError: UInt32(truncatingIfNeeded: error.number), text: text + ": " + error.text)
    }
}

extension LinuxError {
    /// `description` as bytes.
    package var text: ByteString {
        guard let words else { return "error " + ByteString(UInt32(truncatingIfNeeded: number)) }
        return ByteString(stringLiteral: words)
    }
}
