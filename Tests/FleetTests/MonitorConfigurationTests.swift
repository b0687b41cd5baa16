import AgentProtocol
import Archives
import MachineConfiguration
import Testing

@testable import Fleet

@Suite struct MonitorConfigurationTests {
    @Test func `the monitor understands what is written for it`() throws {
        var specification = MachineSpecification()
        specification.imageDiskPaths = ["/images/\"odd\"\\name\n.metadata", "/images/hashes"]
        specification.kernelPath = "/kernels/vmlinux"
        specification.processors = 4
        specification.memoryMebibytes = 512
        specification.disks = [.init(path: "/data.img", isReadOnly: false)]
        let tap = MachineInterface(.tap(name: "tap0", address: nil, gateway: nil))
        let text = MonitorConfiguration(
            specification: specification,
            interfaces: [.init(interface: tap, place: "eth0", ownNetwork: nil, hardwareAddress: "02:00:00:00:00:07")],
            initrdPaths: ["/a.cpio", "/b.cpio"], socketPath: "/run/swiftlet/0123"
        ).json
        let machine = try VirtualMachineConfiguration.parse(Array(text.utf8))
        #expect(machine.virtualCPUCount == 4 && machine.memoryMebibytes == 512)
        #expect(machine.bootSource.initrdPaths == ["/a.cpio", "/b.cpio"])
        #expect(machine.drives.map(\.segments) == [specification.imageDiskPaths, []])
        #expect(machine.drives.last?.pathOnHost == "/data.img")
        #expect(machine.drives.map(\.isReadOnly) == [true, false])
        #expect(machine.networkInterfaces.map(\.hostDeviceName) == ["tap0"])
        #expect(machine.vsock?.udsPath == "/run/swiftlet/0123")
        #expect(machine.lifelineDescriptor == 0 && machine.console.inputDescriptor == nil && machine.hasEntropyDevice)
    }

    @Test func `without a console there is none to speak to, and the kernel looks for no port`() throws {
        var specification = MachineSpecification()
        specification.kernelPath = "/kernels/vmlinux"
        specification.imageDiskPaths = ["/disk"]
        specification.isWithoutConsole = true
        let text = MonitorConfiguration(specification: specification, initrdPaths: [], socketPath: "/run/s").json
        let machine = try VirtualMachineConfiguration.parse(Array(text.utf8))
        #expect(!machine.console.isEnabled)
        #expect(
            !machine.bootSource.bootArguments.contains("ttyS0")
                && machine.bootSource.bootArguments.contains("nr_uarts=0"))
    }

    @Test func `control is by a socket beside the machine's own, and in a folder of its own`() throws {
        var specification = MachineSpecification()
        specification.kernelPath = "/kernels/vmlinux"
        specification.imageDiskPaths = ["/disk"]
        let text = MonitorConfiguration(
            specification: specification, initrdPaths: [], socketPath: "/run/s",
            controlFolder: "/machines/\"1\"/control"
        ).json
        let machine = try VirtualMachineConfiguration.parse(Array(text.utf8))
        #expect(machine.control == .init(socketPath: "/run/s_control", folder: "/machines/\"1\"/control"))
    }

    @Test func `an image of several files is a drive of segments, and its check goes to the agent`() throws {
        var specification = MachineSpecification()
        specification.kernelPath = "/kernels/vmlinux"
        specification.imageDiskPaths = ["/meta", "/layer \"1\"", "/tree"]
        let text = MonitorConfiguration(specification: specification, initrdPaths: [], socketPath: "/run/s").json
        let drive = try #require(try VirtualMachineConfiguration.parse(Array(text.utf8)).drives.first)
        #expect(drive.segments == ["/meta", "/layer \"1\"", "/tree"] && drive.isReadOnly && drive.id == "root")

        var verity = ImageVerity(dataBlocks: 7, rootHash: SHA256.digest(of: [1]))
        #expect(try verity.forAgent() == Verity(dataBlocks: 7, rootHash: SHA256.digest(of: [1]).bytes))
        verity.rootHash.removeLast()
        #expect(throws: FleetError.self) { try verity.forAgent() }
        verity = ImageVerity(dataBlocks: 0, rootHash: SHA256.digest(of: [1]))
        #expect(throws: FleetError.self) { try verity.forAgent() }
    }

    @Test func `damage is told with its place and a way out`() {
        let tree = ImageDamage(DiskDamage(.hashTree, block: 12), atSeconds: 0).message(image: "web")
        #expect(tree.hasPrefix("the disk of the image \"web\" is damaged at block 12 (of its hash tree); "))
        #expect(ImageDamage(DiskDamage(.unknown, block: 0), atSeconds: 0).message(image: "web").contains("damaged; "))
    }

    @Test func `the agent's archive is one that cpio takes apart`() throws {
        let bytes = AgentArchive.bytes([1, 2, 3, 4, 5])
        #expect(bytes.starts(with: Array("070701".utf8)) && bytes.count % 4 == 0)
        #expect(String(decoding: bytes, as: UTF8.self).contains("TRAILER!!!"))
    }
}
