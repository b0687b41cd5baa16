import AgentProtocol
import FileTransfer
import GuestNetwork
import LinuxCalls

/// Devices that come and go while the guest runs.
extension GuestSystem {
    /// Has the driver take a device that has come, and makes of it what the host wants.
    /// - Returns: the guest's name for it.
    func attach(_ attachment: Attachment) throws(Failure) -> ByteString {
        PlatformBus.probe()
        guard let name = PlatformBus.name(of: attachment.device) else {
            throw Failure(.device, text: "no driver of this kernel has taken the device")
        }
        switch attachment.device {
        case .disk(let serial):
            for mount in attachment.mounts {
                var mount = mount
                mount.source = "/dev/" + name
                try apply(mount)
                attachedMounts.append((serial, mount.target))
            }
        case .interface:
            try NetworkSetup.apply(
                attachment.interfaces.prefix(1).map {
                    var interface = $0
                    interface.name = name
                    return interface
                })
        }
        return PlatformBus.name(of: attachment.device) ?? name
    }

    /// Has the driver let go of a device. A disk is unmounted before, where it was mounted when it came.
    func detach(_ detachment: Detachment) throws(Failure) {
        guard let name = PlatformBus.name(of: detachment.device) else {
            // Its driver never had it, or somebody has taken it from the driver: either way it may go.
            return
        }
        if case .disk(let serial) = detachment.device {
            try unmount(serial, name, isForced: detachment.isForced)
            if !detachment.isForced { try checkUnused(name) }
        }
        do throws(LinuxError) { try PlatformBus.unbind(detachment.device, name) } catch {
            throw Failure(.device, error, "\"" + name + "\"")
        }
        SystemControl.synchronize()
    }

    private func unmount(_ serial: ByteString, _ name: ByteString, isForced: Bool) throws(Failure) {
        while let index = attachedMounts.lastIndex(where: { $0.serial == serial }) {
            let target = attachedMounts[index].target
            do throws(LinuxError) {
                try MountTable.unmount((commandsRootPath + target).bytes, isLazy: isForced)
            } catch {
                // Somebody has unmounted it already.
                if error != .invalidArgument, error != .noEntry {
                    throw Failure(.device, error, "\"" + name + "\" is mounted on " + target)
                }
            }
            attachedMounts.remove(at: index)
        }
    }

    /// A disk that somebody has mounted, or swaps to, is nobody else's. Source: open(2), O_EXCL of a block device.
    private func checkUnused(_ name: ByteString) throws(Failure) {
        let device = "/dev/" + name
        do throws(LinuxError) {
            _ = try FileTree.open(device.bytes, [.readOnly, .exclusive, .nonBlocking])
        } catch {
            guard error == .busy else { return }
            guard let place = Self.mountPoint(of: device) else { throw Failure(.device, error, "\"" + name + "\"") }
            throw Failure(.device, error, "\"" + name + "\" is mounted on " + place)
        }
    }

    /// The first, as the kernel writes it: a blank is `\040`. Source: proc_pid_mounts(5).
    private static func mountPoint(of device: ByteString) -> ByteString? {
        guard let file = try? FileTree.open(ByteString("/proc/self/mounts").bytes, .readOnly),
            let text = try? FileTree.contents(file.number, maximumBytes: 1 << 20)
        else { return nil }
        for line in ByteString(text).split(0x0a) where line.hasPrefix(device + " ") {
            let words = line.split(0x20)
            if words.count > 1 { return words[1] }
        }
        return nil
    }
}

/// The kernel's list of places in which virtio devices may be, and its driver for them.
/// Source: Documentation/driver-api/driver-model/binding.rst (bind, unbind).
private enum PlatformBus {
    private static let devices: ByteString = "/sys/bus/platform/devices"
    private static let driver: ByteString = "/sys/bus/platform/drivers/virtio-mmio"
    /// Whether a device is such a place: one that ACPI tells of, or the kernel's command line.
    /// Source: Linux drivers/virtio/virtio_mmio.c, virtio_mmio_acpi_match and vm_cmdline_set.
    private static func isPlace(_ name: ByteString) -> Bool {
        name.hasPrefix("LNRO0005:") || name.hasPrefix("virtio-mmio.")
    }

    /// Has the driver look at each place that it has not: it leaves those that are empty.
    static func probe() {
        for name in names(devices) where isPlace(name) {
            let place = devices + "/" + name + "/driver"
            if (try? FileTree.facts(place.bytes)) == nil { try? write(name, to: "/bind") }
        }
    }

    static func name(of device: AttachedDevice) -> ByteString? {
        switch device {
        case .disk(let serial): find(serial, below: "/sys/block/", "/serial")
        case .interface(let address): find(text(address), below: "/sys/class/net/", "/address")
        }
    }

    /// Takes the place that a device is in from its driver.
    static func unbind(_ device: AttachedDevice, _ name: ByteString) throws(LinuxError) {
        let folder: ByteString =
            switch device {
            case .disk: "/sys/block/"
            case .interface: "/sys/class/net/"
            }
        // The link leads through the place: …/LNRO0005:07/virtio7/block/vdc
        let target = ByteString(try FileTree.readLink((folder + name).bytes))
        for part in target.split(0x2f) where isPlace(part) { return try write(part, to: "/unbind") }
        throw .noDevice
    }

    private static func find(_ wanted: ByteString, below folder: ByteString, _ file: ByteString) -> ByteString? {
        for name in names(folder) {
            guard let file = try? FileTree.open((folder + name + file).bytes, .readOnly),
                let text = try? FileTree.contents(file.number, maximumBytes: 4096)
            else { continue }
            if ByteString(text).split(0x0a).first == wanted { return name }
        }
        return nil
    }

    private static func names(_ folder: ByteString) -> [ByteString] {
        guard let folder = try? FileTree.open(folder.bytes, [.readOnly, .directory]),
            let names = try? FileTree.names(in: folder.number)
        else { return [] }
        return names.map { ByteString($0) }
    }

    private static func write(_ text: ByteString, to file: ByteString) throws(LinuxError) {
        let path = driver + file
        let opened = try FileTree.open(path.bytes, .writeOnly)
        try writeAll(opened.number, text.bytes)
    }

    /// `02:00:00:00:00:01`
    private static func text(_ address: [UInt8]) -> ByteString {
        var text: ByteString = ""
        for byte in address {
            if !text.isEmpty { text += ":" }
            if byte < 16 { text += "0" }
            text += ByteString(byte, radix: 16)
        }
        return text
    }
}
