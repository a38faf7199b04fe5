internal import Cluster
package import EventLoop
package import Primitives

extension Peers {
    /// Who this node is to others, and what does not change while it runs.
    package struct Settings: Sendable {
        package var cluster: String
        package var me: ReplicaID
        package var incarnation: UInt64
        /// Of the process before this one on the same disk; 0 when there was none.
        package var previousIncarnation: UInt64
        package var listen: SocketAddress
        /// What others dial, `host:port`; nil means where it listens.
        package var advertise: String?
        /// Dialed from the start; this node's own address may be among them.
        package var seeds: [HostPort]
        package var protocols: ClosedRange<UInt32> = 1...1
        package var formats: ClosedRange<UInt32> = 1...1
        package var limits: Limits

        package init(
            cluster: String, me: ReplicaID, incarnation: UInt64, previousIncarnation: UInt64, listen: SocketAddress,
            advertise: String? = nil, seeds: [HostPort] = [], lease: Duration = .seconds(2)
        ) {
            self.cluster = cluster
            self.me = me
            self.incarnation = incarnation
            self.previousIncarnation = previousIncarnation
            self.listen = listen
            self.advertise = advertise
            self.seeds = seeds
            limits = Limits(lease: lease)
        }
    }

    /// Every bound of the transport.
    package struct Limits: Sendable {
        /// From the connect or accept to the end of the greetings.
        package var greeting = Duration.seconds(5)
        package var connect = Duration.seconds(2)
        /// Connections that have not greeted, at once.
        package var strangers = 128
        /// What may wait for one peer: more, and it is dropped.
        package var queued = 32 << 20
        /// A peer that nothing is heard of for so long is hung up on. Pulses come eight times in a lease.
        package var silence: Duration
        /// One that nothing is heard of for so long is dialed anew.
        package var quiet: Duration
        package var firstPause = Duration.milliseconds(50)
        package var longestPause = Duration.seconds(1)

        package init(lease: Duration) {
            silence = lease * 5
            quiet = lease * 3 / 2
        }

        /// A connection is given no more while so many bytes wait in it.
        static let window = Connection.lowWater
        /// Bytes that wait in the kernel, not sent yet.
        static let unsent = 128 << 10
        static let links = 1024
        /// Between two greetings on one connection.
        static let refresh = Duration.seconds(60)
        /// Clocks that are further apart are worth a word: they stamp mail and schedules.
        static let clockTolerance = Duration.seconds(5)

        /// How patient a connect and its greeting are.
        struct Dial {
            var connect: Duration
            var greeting: Duration
            /// A peer that takes a connect and is alive greets in milliseconds; one that is paused never does.
            static let knock = Dial(connect: ProcessWatch.connectLimit, greeting: .seconds(1))
        }

        var dial: Dial { Dial(connect: connect, greeting: greeting) }
    }
}
