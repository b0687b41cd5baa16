public import WireFormats

/// Devices that come and go while the machine runs, which others attach: they are asked for and changed like the rest.
extension APIService {
    public func noteAttached(drive: JSONValue) { kept.drives.append(drive) }
    public func noteAttached(interface: JSONValue) { kept.interfaces.append(interface) }

    /// What was attached under that name is there no more.
    public func noteDetached(_ identifier: String) {
        kept.drives.removeAll { $0.text("drive_id") == identifier }
        kept.interfaces.removeAll { $0.text("iface_id") == identifier }
    }
}
