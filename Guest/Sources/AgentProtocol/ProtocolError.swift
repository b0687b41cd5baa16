/// Why bytes from the other side are not a message of this protocol.
public enum ProtocolError: Error, Equatable, Sendable {
    /// The message ends before its last field does.
    case truncated
    /// Bytes follow the message's last field.
    case trailingBytes
    /// The connection does not begin with this protocol's opening.
    case notThisProtocol
    /// The other side speaks a version that this one does not.
    case version(UInt16)
    /// A frame longer than its direction allows.
    case frameTooLong(UInt32)
    /// A message number that is not known, or not one of this direction.
    case unknownMessage(UInt16)
    /// A field outside its bounds.
    case outOfBounds(MessageField)
}

/// The fields that have bounds of their own, named for error messages.
public enum MessageField: String, Equatable, Sendable {
    case kind, stream, flags
    case agentVersion = "agent version", kernelRelease = "kernel release"
    case hostName = "host name", fileSystem = "file system", device, path, options, overlay
    case mounts, interfaces, interfaceName = "interface name", addresses, addressFamily = "address family"
    case prefixLength = "prefix length", routes, nameServers = "name servers", searchDomains = "search domains"
    case hostEntries = "host entries", seed, links
    case arguments, argument, environment, variable, user, groups, workingDirectory = "working directory"
    case signal, exitKind = "exit kind", failureCode = "failure code", failureText = "failure text"
    case powerOffMode = "power-off mode", entryType = "entry type", entryPath = "entry path", linkTarget = "link target"
    case name, data, streamOrigin = "stream origin"
}
